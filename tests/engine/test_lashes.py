"""The lashes of closed eyes."""

import numpy as np
import pytest

from photoanimer_async.engine.lashes import Lashes


@pytest.mark.parametrize("width", [60.0, 240.0])
def test_lashes_hang_from_the_edge_of_the_lid(width: float) -> None:
    lashes = Lashes.drawn(width, 1, blur=0.5)
    x, v = np.meshgrid(
        np.linspace(-0.4, 0.4, 41, dtype=np.float32), np.linspace(-0.2, 0.2, 41, dtype=np.float32)
    )
    alpha = lashes.at(x * np.float32(width), v * np.float32(width))
    assert alpha.min() >= 0
    assert alpha.max() <= 0.89
    rows = alpha.mean(axis=1)
    assert rows.argmax() == pytest.approx(20, abs=2)
    assert rows[:7].max() < 0.01
    assert rows[21:28].sum() > rows[13:20].sum()  # below the edge rather than above it


def test_lashes_are_longer_at_the_outer_corner() -> None:
    x, v = np.meshgrid(np.linspace(-40, 40, 81, dtype=np.float32), np.array([4.5], np.float32))
    right, left = (Lashes.drawn(100, outwards, blur=0.5).at(x, v)[0] for outwards in (1, -1))
    assert right[60:].mean() > 1.5 * right[:20].mean()
    assert left == pytest.approx(right[::-1], abs=0.1)


def test_a_blurred_photo_has_blurred_lashes() -> None:
    x, v = np.meshgrid(np.zeros(1, np.float32), np.linspace(-12, 12, 97, dtype=np.float32))
    sharp, soft = (Lashes.drawn(80, 1, blur).at(x, v)[:, 0] for blur in (0.5, 3.0))
    assert np.abs(np.diff(soft)).max() < 0.6 * np.abs(np.diff(sharp)).max()

"""Filling what a person hides."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.texture_fill import fill_smoothly, fill_with_texture


def hole(side: int, radius: float) -> NDArray[np.bool_]:
    y, x = np.indices((side, side)) - side / 2
    return np.asarray(np.hypot(x, y) < radius)


def test_a_smooth_fill_continues_a_gradient() -> None:
    ramp = np.tile(np.linspace(50, 200, 120, dtype=np.float32)[:, None], (120, 1, 3))
    hidden = hole(120, 30)
    values = np.where(hidden[..., None], np.float32(0), ramp)
    filled = fill_smoothly(values, ~hidden)
    assert np.abs(filled - ramp)[hidden].max() < 25
    assert np.abs(filled - ramp)[~hidden].mean() < 2


def test_samples_that_are_all_visible_stay() -> None:
    values = np.random.default_rng(3).uniform(0, 255, (40, 50, 3)).astype(np.float32)
    assert fill_smoothly(values, np.ones((40, 50), bool)) == pytest.approx(values, abs=0.01)


@pytest.mark.parametrize("slope", [0.0, 0.35, 1.0])
def test_stripes_meet_in_the_rim(slope: float) -> None:
    y, x = np.indices((260, 260))
    wave = 125 + 60 * np.sin((x + slope * y) * 2 * np.pi / 9)
    picture = np.repeat(wave[..., None], 3, axis=2).astype(np.uint8)
    hidden = hole(260, 60)
    smooth = picture.copy()
    smooth[hidden] = 125
    filled = fill_with_texture(smooth, (~hidden).astype(np.float32), unit=80)
    rim = hidden & ~hole(260, 48)
    error = np.abs(filled[rim].astype(int) - picture[rim]).mean()
    assert error < 15  # a smooth fill has 38
    assert np.array_equal(filled[~hidden], picture[~hidden])


def test_without_a_hole_nothing_changes() -> None:
    picture = np.random.default_rng(4).integers(0, 256, (50, 60, 3), np.uint8)
    filled = fill_with_texture(picture, np.ones((50, 60), np.float32), unit=30)
    assert np.array_equal(filled, picture)


def test_with_nothing_visible_nothing_is_copied() -> None:
    picture = np.full((50, 60, 3), 99, np.uint8)
    filled = fill_with_texture(picture, np.zeros((50, 60), np.float32), unit=30)
    assert np.array_equal(filled, picture)

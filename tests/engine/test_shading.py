"""Shading that rides on the warp."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shading import Shading
from photoanimer_async.engine.warp_engine import WarpEngine


@pytest.fixture
def shading(astronaut_face: Face) -> Shading:
    return Shading.of(astronaut_face.landmarks, astronaut_face.eye_distance)


def test_patterns_are_zero_at_the_border(shading: Shading) -> None:
    for pattern in shading.patterns.values():
        assert pattern.shape == (shading.box.height, shading.box.width)
        for border in (pattern[0], pattern[-1], pattern[:, 0], pattern[:, -1]):
            assert np.abs(border).max() < 0.004


def test_a_still_face_has_no_shading(shading: Shading) -> None:
    assert shading.gain({}) is None
    assert shading.gain({"jawOpen": 1.0, "mouthSmileLeft": 0.0}) is None


def test_a_smile_darkens_the_fold_on_its_side(shading: Shading, astronaut_face: Face) -> None:
    gain = shading.gain({"mouthSmileLeft": 1.0})
    assert gain is not None

    def along(fold: tuple[int, ...]) -> float:
        x, y = astronaut_face.landmarks[list(fold[1:3]), :2].mean(axis=0).round().astype(int)
        return float(gain[y - shading.box.top, x - shading.box.left])

    assert along(lm.FOLD_LEFT) < 0.95
    assert along(lm.FOLD_RIGHT) == pytest.approx(1, abs=0.02)


def test_shading_rides_on_the_warp(astronaut: Picture, astronaut_face: Face) -> None:
    """Painted on a flat picture, a fold is seen where the head's motion takes it."""
    portrait = WarpEngine().prepare(np.full_like(astronaut, 128), astronaut_face)
    smile = {"mouthSmileLeft": 1.0}

    def darkest(motion: dict[str, float]) -> NDArray[np.float64]:
        dark = 128.0 - portrait.frame({**smile, **motion})[..., 0]
        dark = np.where(dark > 6, dark, 0)[100:180, 170:225]  # beside the mouth
        y, x = np.indices(dark.shape)
        return np.asarray(
            [(x * dark).sum() / dark.sum(), (y * dark).sum() / dark.sum()], np.float64
        )

    moved = darkest({"headX": 0.1}) - darkest({})
    assert moved == pytest.approx([0.1 * astronaut_face.eye_distance, 0], abs=1.5)

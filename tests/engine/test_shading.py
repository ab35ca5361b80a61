"""Shading that rides on the warp."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shading import UNCHANGED, Shading
from photoanimer_async.engine.warp import Box, resample
from photoanimer_async.engine.warp_engine import WarpEngine


@pytest.fixture
def shading(astronaut: Picture, astronaut_face: Face) -> Shading:
    return Shading.of(astronaut, astronaut_face.landmarks, astronaut_face.eye_distance)


def test_patterns_are_zero_at_the_border(shading: Shading) -> None:
    for pattern in shading.patterns.values():
        assert pattern.shape == (
            -(-shading.box.height // shading.step),
            -(-shading.box.width // shading.step),
        )
        for border in (pattern[0], pattern[-1], pattern[:, 0], pattern[:, -1]):
            assert np.abs(border).max() < 0.004


def test_a_still_face_has_no_shading(shading: Shading) -> None:
    assert shading.gain({}) is None
    assert shading.gain({"jawOpen": 1.0, "mouthSmileLeft": 0.0}) is None


@pytest.mark.parametrize(
    ("expression", "landmark"),
    [("mouthSmile", 203), ("cheekSquint", 229), ("browUp", 69), ("browDown", 107)],
)
@pytest.mark.parametrize("scale", [1, 5])
def test_an_expression_darkens_the_folds_on_its_side(
    astronaut: Picture, astronaut_face: Face, expression: str, landmark: int, scale: int
) -> None:
    landmarks = astronaut_face.landmarks * scale
    unit = astronaut_face.eye_distance * scale
    shading = Shading.of(astronaut, landmarks, unit)
    sides = {"Left": landmark, "Right": MIRRORED[landmark]}
    for side, there in sides.items():
        gain = shading.gain({f"{expression}{side}": 1.0})
        assert gain is not None
        darkest = {
            name: near(gain, shading, landmarks[index, :2], 0.1 * unit)
            for name, index in sides.items()
        }
        assert darkest.pop(side) < 0.95, there
        assert min(darkest.values()) > 0.965


MIRRORED = {203: 423, 229: 449, 69: 299, 107: 336}


def near(gain: Picture, shading: Shading, place: NDArray[np.float64], by: float) -> float:
    """Return the least factor around a place of the photo."""
    box = Box.around(place, by)
    left, top = shading.box.left, shading.box.top
    rows = slice((box.top - top) // shading.step, (box.bottom - top) // shading.step)
    columns = slice((box.left - left) // shading.step, (box.right - left) // shading.step)
    return float(gain[rows, columns].min()) / UNCHANGED


def test_glasses_hide_folds_around_the_eyes(astronaut: Picture, astronaut_face: Face) -> None:
    bare, worn = (
        Shading.of(astronaut, astronaut_face.landmarks, astronaut_face.eye_distance, glasses)
        for glasses in (0.0, 1.0)
    )
    squint = {"cheekSquintLeft": 1.0}
    depths = []
    for shading in (bare, worn):
        gain = shading.gain(squint)
        assert gain is not None
        depths.append(1 - gain.min() / UNCHANGED)
    assert depths[1] < 0.4 * depths[0]
    assert np.array_equal(bare.patterns["mouthSmileLeft"], worn.patterns["mouthSmileLeft"])


@pytest.mark.parametrize("scale", [1, 3, 5])
def test_a_part_is_shaded_as_its_sources_are(
    astronaut: Picture, astronaut_face: Face, scale: int
) -> None:
    """The part has left-over pixels beside its blocks, and is no contiguous array."""
    landmarks = astronaut_face.landmarks * scale
    shading = Shading.of(astronaut, landmarks, astronaut_face.eye_distance * scale)
    gain = shading.gain({"mouthSmileLeft": 1.0, "cheekSquintRight": 0.7})
    assert gain is not None
    frame = np.full((shading.box.height + 9, shading.box.width + 9, 3), 150, np.uint8)
    place = Box(0, 0, shading.box.width - 1, shading.box.height - 2).pixels()
    part = frame[4 : 4 + place.shape[0], 5 : 5 + place.shape[1]]
    shading.apply(gain, part, place)
    samples = place / np.float32(shading.step)
    exact = 150 / UNCHANGED * resample(gain[..., 1].astype(np.float32), samples)
    assert np.abs(part[..., 1] - exact).max() < 4
    assert exact.min() < 135
    assert (frame[:4] == 150).all()
    assert (frame[-4:] == 150).all()


def test_shading_rides_on_the_warp(astronaut: Picture, astronaut_face: Face) -> None:
    """Painted on a flat picture, a fold is seen where the head's motion takes it."""
    portrait = WarpEngine().prepare(np.full_like(astronaut, 128), astronaut_face)

    def darkest(motion: dict[str, float]) -> NDArray[np.float64]:
        dark = 128.0 - portrait.frame({"browDownLeft": 1.0, **motion})[..., 0]
        dark = np.where(dark > 2, dark, 0)
        y, x = np.indices(dark.shape)
        return np.asarray(
            [(x * dark).sum() / dark.sum(), (y * dark).sum() / dark.sum()], np.float64
        )

    moved = darkest({"headX": 0.1}) - darkest({})
    assert moved == pytest.approx([0.085 * astronaut_face.eye_distance, 0], abs=1.5)


def test_folds_have_the_colour_of_skin(astronaut: Picture, astronaut_face: Face) -> None:
    """Red is darkened less than blue; in a grey photo, all channels alike."""
    grey = np.repeat(astronaut[..., 1:2], 3, axis=2)
    darkest = []
    for photo in (astronaut, grey):
        shading = Shading.of(photo, astronaut_face.landmarks, astronaut_face.eye_distance)
        gain = shading.gain({"browUpLeft": 1.0})
        assert gain is not None
        darkest.append(1 - gain.reshape(-1, 3).min(axis=0) / UNCHANGED)
    (red, _, blue), plain = darkest
    assert red < 0.9 * blue
    assert np.ptp(plain) == 0

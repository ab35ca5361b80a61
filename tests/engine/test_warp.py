"""Fields, lattices and resampling."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import (
    Box,
    Field,
    Lattice,
    UpsampledPhoto,
    inverse,
    resample,
    smoothstep,
)

LATTICE = Lattice(left=-7, top=11, cell=4, columns=30, rows=24)


def waves(width: float, height: float, length: float, turn: float) -> Field:
    """A smooth field that is 0 on the lattice's border and falls by at most `width` per px."""
    x, y = np.moveaxis(LATTICE.nodes().astype(np.float64), -1, 0)
    inside = np.sin(np.pi * (x - x.min()) / np.ptp(x)) * np.sin(np.pi * (y - y.min()) / np.ptp(y))
    across = width * length * np.sin(x / length + turn)
    down = height * length * np.cos(y / length - turn)
    return np.asarray(np.stack([across, down], axis=-1) * inside[..., None], np.float32)


slopes = st.floats(-0.45, 0.45)


@settings(max_examples=40, deadline=None)
@given(slopes, slopes, st.floats(8, 25), st.floats(0, 6))
def test_backward_then_forward_is_the_identity(
    width: float, height: float, length: float, turn: float
) -> None:
    forward = waves(width, height, length, turn)
    backward = inverse(LATTICE, forward, rounds=30)
    nodes = LATTICE.nodes()
    start = nodes - backward
    again = start + LATTICE.sample(forward, start)
    assert np.abs(again - nodes).max() < 0.1


def test_the_inverse_of_a_zero_field_is_zero() -> None:
    still = np.zeros((LATTICE.rows, LATTICE.columns, 2), np.float32)
    assert not inverse(LATTICE, still, rounds=3).any()


def test_sampling_at_nodes_returns_the_field() -> None:
    field = waves(0.3, 0.2, 10, 1)
    assert LATTICE.sample(field, LATTICE.nodes()) == pytest.approx(field, abs=1e-5)


def test_nodes_are_the_centres_of_cells() -> None:
    lattice = Lattice(left=0, top=0, cell=3, columns=2, rows=1)
    assert lattice.nodes().tolist() == [[[1.0, 1.0], [4.0, 1.0]]]


def test_an_enlarged_field_equals_the_nodes_and_is_the_same_in_any_box() -> None:
    lattice = Lattice(left=5, top=-3, cell=5, columns=12, rows=9)
    x, y = np.moveaxis(lattice.nodes(), -1, 0)
    field = np.stack([np.sin(x / 9), np.cos(y / 7)], axis=-1).astype(np.float32)
    whole = lattice.enlarged(field, lattice.box)
    assert whole.shape == (45, 60, 2)
    assert whole[2::5, 2::5] == pytest.approx(field, abs=1e-5)
    part = Box(23, 9, 41, 30)
    assert lattice.enlarged(field, part) == pytest.approx(whole[part.within(lattice.box)], abs=1e-6)


def test_a_lattice_covers_its_box() -> None:
    box = Box(3, 4, 20, 31)
    covered = Lattice.covering(box, 6).box
    assert covered & box == box
    assert covered.right - box.right < 6
    assert covered.bottom - box.bottom < 6


def test_box_operations() -> None:
    assert Box(0, 0, 5, 5) & Box(3, 2, 9, 9) == Box(3, 2, 5, 5)
    assert (Box(0, 0, 2, 2) & Box(3, 3, 4, 4)).empty
    assert Box.around(np.array([[1.2, 2.7], [4.0, 3.0]])) == Box(1, 2, 5, 4)
    assert Box(2, 3, 4, 6).pixels().shape == (3, 2, 2)
    assert Box(2, 3, 4, 6).moved(np.array([10.0, -1.0]), 1) == Box(11, 1, 15, 6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_resampling_at_the_pixels_changes_nothing(channels: int, interpolation: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30, channels), np.uint8)
    positions = Box.of(image).pixels()
    assert resample(image, positions, interpolation).reshape(image.shape).tolist() == image.tolist()


def test_smoothstep() -> None:
    values = smoothstep(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    assert values.tolist() == [0, 0, 0.5, 1, 1]


def test_upsampled_photo_at_its_pixels_is_the_photo(astronaut: Picture) -> None:
    assert np.array_equal(
        UpsampledPhoto.of(astronaut).sample(Box.of(astronaut).pixels()), astronaut
    )


def test_upsampled_photo_of_odd_size() -> None:
    photo = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    assert np.array_equal(UpsampledPhoto.of(photo).sample(Box.of(photo).pixels()), photo)


def test_upsampled_photo_repeats_edge_pixels() -> None:
    photo = np.full((1, 1, 3), 77, np.uint8)
    assert (UpsampledPhoto.of(photo).sample(Box(-2, -2, 3, 3).pixels()) == 77).all()


def test_upsampled_photo_is_almost_as_good_as_cubic_sampling(astronaut: Picture) -> None:
    face = np.ascontiguousarray(astronaut[40:200, 150:300])
    moved = Box(5, 5, 140, 150).pixels() + np.array([0.3, 0.6], np.float32)
    best = resample(face, moved, cv2.INTER_LANCZOS4)
    upsampled = cv2.PSNR(UpsampledPhoto.of(face).sample(moved), best)
    linear = cv2.PSNR(resample(face, moved), best)
    cubic = cv2.PSNR(resample(face, moved, cv2.INTER_CUBIC), best)
    assert upsampled > linear + 3
    assert upsampled > cubic - 3

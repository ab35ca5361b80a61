"""The displacement fields of the blendshapes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import SKIN, Blendshapes
from photoanimer_async.engine.face_coordinates import FaceCoordinates


@pytest.fixture(scope="module")
def blendshapes(coordinates: FaceCoordinates) -> Blendshapes:
    return Blendshapes.of(coordinates.local)


def grid(step: float = 0.05) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return points over and around a face, (N, 2), in u."""
    axis = np.arange(-2.5, 3, step)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("lip", Lip)
def test_fields_are_finite_and_bounded(blendshapes: Blendshapes, lip: Lip) -> None:
    fields = blendshapes.fields(grid(), lip)
    assert fields.shape == (len(SKIN), len(grid()), 3)
    assert np.isfinite(fields).all()
    assert np.abs(fields).max() < 0.5


def test_every_field_moves_something(blendshapes: Blendshapes) -> None:
    strongest = np.maximum(
        *(np.abs(blendshapes.fields(grid(), lip)).max(axis=(1, 2)) for lip in Lip)
    )
    assert (strongest > 0.02).all()


def test_fields_of_both_lips_are_equal_away_from_the_mouth(
    blendshapes: Blendshapes, coordinates: FaceCoordinates
) -> None:
    eyes = coordinates.local[[33, 133, 362, 263], :2]
    upper, lower = (blendshapes.fields(eyes, lip) for lip in Lip)
    assert np.abs(upper - lower).max() < 0.01


def test_the_jaw_moves_the_lower_lip_only(
    blendshapes: Blendshapes, coordinates: FaceCoordinates
) -> None:
    jaw = list(SKIN).index("jawOpen")
    top = blendshapes.fields(coordinates.local[[13], :2], Lip.UPPER)[jaw, 0]
    bottom = blendshapes.fields(coordinates.local[[14], :2], Lip.LOWER)[jaw, 0]
    assert bottom[1] > 0.25
    assert abs(top[1]) < 0.05


@pytest.mark.parametrize(("name", "corner"), [("mouthSmileLeft", 61), ("mouthSmileRight", 291)])
def test_a_smile_lifts_the_corner_of_its_side(
    blendshapes: Blendshapes, coordinates: FaceCoordinates, name: str, corner: int
) -> None:
    other = 61 + 291 - corner
    moved, still = blendshapes.fields(coordinates.local[[corner, other], :2], Lip.UPPER)[
        list(SKIN).index(name)
    ]
    assert moved[1] < -0.05
    assert np.sign(moved[0]) == np.sign(coordinates.local[corner, 0])
    assert np.abs(still).max() < 0.01


def with_corners_moved(
    coordinates: FaceCoordinates, outwards: float, down: float = 0.0
) -> NDArray[np.float64]:
    """Return landmarks in face coordinates with the mouth's corners moved, in u."""
    local = coordinates.local.copy()
    corners = [[61, 78, 62, 76], [291, 308, 292, 306]]
    for side, points in zip((-1, 1), corners, strict=True):
        local[points, :2] += [side * outwards, down]
    return local


def smile_of_a_mouth(
    coordinates: FaceCoordinates, outwards: float, down: float
) -> NDArray[np.float64]:
    """Return how a smile moves the left corner of a mouth with corners that are moved, in u."""
    local = with_corners_moved(coordinates, outwards, down)
    smile = Blendshapes.of(local).fields(local[[61], :2], Lip.UPPER)
    return np.asarray(smile[list(SKIN).index("mouthSmileLeft"), 0], np.float64)


def test_a_wide_mouth_smiles_less_wide(coordinates: FaceCoordinates) -> None:
    plain, wide = (smile_of_a_mouth(coordinates, outwards, 0.0) for outwards in (0.0, 0.06))
    assert -plain[0] > -1.3 * wide[0] > 0


def test_hanging_corners_rise_further_in_a_smile(coordinates: FaceCoordinates) -> None:
    plain, hanging = (smile_of_a_mouth(coordinates, 0.0, down) for down in (0.0, 0.12))
    assert -hanging[1] > -plain[1] + 0.03


def kiss(local: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far points of a face, (n, 2), move to the right in a kiss, in u; shape (n,)."""
    moved = Blendshapes.of(local).fields(points, Lip.UPPER)
    return np.asarray(moved[list(SKIN).index("mouthPucker"), :, 0], np.float64)


@pytest.mark.parametrize("outwards", [0.0, 0.06, 0.12])
def test_a_kiss_moves_the_corners_only_so_far(
    coordinates: FaceCoordinates, outwards: float
) -> None:
    local = with_corners_moved(coordinates, outwards)
    left, right = kiss(local, local[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], :2])
    assert 0.13 < left < 0.16
    assert -0.16 < right < -0.13


@pytest.mark.parametrize("outwards", [0.0, 0.06, 0.12])
def test_a_fold_above_the_corner_does_not_curl_in_a_kiss(
    coordinates: FaceCoordinates, outwards: float
) -> None:
    local = with_corners_moved(coordinates, outwards)
    heights = np.linspace(0, 0.4, 40)
    fold = local[lm.MOUTH_LEFT, :2] - np.stack([0 * heights, heights], axis=1)
    assert np.abs(np.gradient(kiss(local, fold), heights)).max() < 0.6
    wings = local[[lm.FOLD_LEFT[0], lm.FOLD_RIGHT[0]], :2]
    assert np.abs(kiss(local, wings)).max() < 0.05

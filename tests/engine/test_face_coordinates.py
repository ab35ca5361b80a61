"""The mapping between pixels and face coordinates."""

import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates


def test_coordinates_are_independent_of_scale_and_roll(astronaut_face: Face) -> None:
    landmarks = astronaut_face.landmarks
    angle = 2.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = np.column_stack([landmarks[:, :2] @ turn.T, landmarks[:, 2]]) * 1.7
    there, here = FaceCoordinates.of(turned), FaceCoordinates.of(landmarks)
    assert there.unit == pytest.approx(1.7 * here.unit)
    assert there.local == pytest.approx(here.local, abs=1e-6)
    assert there.locate(turned[:, :2]) == pytest.approx(here.locate(landmarks[:, :2]), abs=0.02)


def test_landmarks_are_located_at_their_coordinates(
    astronaut_face: Face, coordinates: FaceCoordinates
) -> None:
    landmarks = astronaut_face.landmarks
    error = coordinates.locate(landmarks[:468, :2]) - coordinates.local[:468, :2]
    assert np.sqrt((error**2).mean()) < 0.05


def test_the_map_goes_on_evenly_outside_the_face(
    astronaut_face: Face, coordinates: FaceCoordinates
) -> None:
    chin = astronaut_face.landmarks[lm.CHIN, :2]
    below = chin + np.outer(np.linspace(0, 2, 21), coordinates.axes[:2, 1]) * coordinates.unit
    steps = np.diff(coordinates.locate(below)[:, 1])
    assert steps.min() > 0.07
    assert steps.max() < 0.15

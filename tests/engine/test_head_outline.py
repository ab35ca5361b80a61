"""The outline of the head."""

import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_outline import HeadEllipse, head_edge
from photoanimer_async.engine.picture import Picture


@pytest.fixture(scope="module")
def face(astronaut_face: Face) -> Face:
    return astronaut_face


@pytest.fixture(scope="module")
def ellipse(face: Face) -> HeadEllipse:
    return HeadEllipse.of(face.landmarks, FaceCoordinates.of(face.landmarks))


def test_the_ellipse_contains_the_face(ellipse: HeadEllipse, face: Face) -> None:
    assert ellipse.radius(face.landmarks[: lm.MESH_COUNT, :2]).max() < 1.1
    assert ellipse.radius(face.landmarks[[lm.NOSE_TIP], :2]).item() < 0.5


def test_outline_points_have_the_radius(ellipse: HeadEllipse) -> None:
    assert ellipse.radius(ellipse.outline(1.4, 30)) == pytest.approx(np.full(30, 1.4))


def test_wide_hair_widens_the_head(ellipse: HeadEllipse, astronaut: Picture) -> None:
    beside_the_eyes = np.array([[[165.0, 80.0], [295.0, 80.0]]])
    assert (head_edge(astronaut, ellipse, beside_the_eyes) > 1.1).all()


def test_the_edge_is_close_to_the_ellipse(ellipse: HeadEllipse, astronaut: Picture) -> None:
    edges = head_edge(astronaut, ellipse, ellipse.outline(1.0, 100)[None])
    assert edges.min() >= 1
    assert edges.max() <= 1.25
    assert np.abs(np.diff(edges)).max() < 0.1


def test_without_background_the_edge_is_the_ellipse(face: Face, astronaut: Picture) -> None:
    left, top = 180, 50
    close = np.ascontiguousarray(astronaut[top:200, left:280])
    landmarks = face.landmarks - [left, top, 0]
    ellipse = HeadEllipse.of(landmarks, FaceCoordinates.of(landmarks))
    assert np.array_equal(head_edge(close, ellipse, ellipse.outline(1, 50)[None]), np.ones((1, 50)))

"""The lips' edges."""

import pytest

from photoanimer_async.engine.blendshapes import Blendshapes, skin_coefficients
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.mouth import Mouth
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture


def mouth_of(picture: Picture, face: Face) -> Mouth:
    coordinates = FaceCoordinates.of(face.landmarks)
    texture = PhotoTexture.of(picture, face.landmarks, coordinates.unit)
    blendshapes = Blendshapes.of(coordinates.local)
    return Mouth.of(picture, face.landmarks, coordinates, blendshapes, texture)


def test_resting_lips_are_those_of_the_photo(picture: Picture, face: Face) -> None:
    lips = mouth_of(picture, face).lips(skin_coefficients({}))
    assert lips.parted == pytest.approx(0, abs=0.5)
    assert lips.jaw == pytest.approx(0, abs=1e-6)
    assert (lips.lower >= lips.upper).all()
    assert lips.still
    assert not mouth_of(picture, face).lips(skin_coefficients({"jawOpen": 0.1})).still

"""The colours of a mouth's interior."""

import cv2
import numpy as np
import pytest

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.mouth_palette import MouthPalette
from photoanimer_async.engine.photo_texture import LUMINANCE, PhotoTexture
from photoanimer_async.engine.picture import Picture


def palette_of(picture: Picture, face: Face) -> MouthPalette:
    texture = PhotoTexture.of(picture, face.landmarks, face.eye_distance)
    return MouthPalette.of(picture, face.landmarks, texture)


def test_what_is_deeper_in_the_mouth_is_darker(picture: Picture, face: Face) -> None:
    palette = palette_of(picture, face)
    colours = (palette.black, palette.dark, palette.lining, palette.tongue, palette.tooth)
    light = [float(colour @ LUMINANCE) for colour in colours]
    assert light == sorted(light)
    assert palette.tongue[0] > palette.tongue[1:].max()


def test_teeth_have_the_cast_of_a_photo_without_colours(picture: Picture, face: Face) -> None:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)[..., None]
    brown = np.asarray(np.clip(grey * [1.05, 1.0, 0.88], 0, 255), np.uint8)
    tooth = palette_of(brown, face).tooth
    assert tooth / tooth[1] == pytest.approx([1.05, 1.0, 0.88], abs=0.04)


def test_a_faded_photo_has_no_black(picture: Picture, face: Face) -> None:
    faded = np.asarray(90 + 0.5 * picture, np.uint8)
    palette = palette_of(faded, face)
    assert palette.black.min() >= 88
    assert palette.dark @ LUMINANCE >= palette.black @ LUMINANCE
    assert palette.tooth @ LUMINANCE <= np.quantile(faded @ LUMINANCE, 0.999)


def test_a_face_outside_of_the_photo_has_a_palette(astronaut_face: Face) -> None:
    away = astronaut_face.moved(-5000, 0)
    assert np.isfinite(palette_of(np.full((60, 60, 3), 100, np.uint8), away).tooth).all()

"""Grain and blur of photos."""

import cv2
import numpy as np
import pytest

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box


def texture_of(picture: Picture, face: Face) -> PhotoTexture:
    return PhotoTexture.of(picture, face.landmarks, face.eye_distance)


def test_the_grain_is_as_strong_as_that_of_the_photo(
    astronaut: Picture, astronaut_face: Face
) -> None:
    smooth = cv2.GaussianBlur(astronaut, (0, 0), 2).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal((*astronaut.shape[:2], 1), np.float32)
    for strength in (4.0, 9.0):
        noisy = np.clip(smooth + strength * noise, 0, 255).astype(np.uint8)
        grain = texture_of(noisy, astronaut_face).grain_of(Box(0, 0, 64, 64))
        assert grain.std() == pytest.approx(strength, rel=0.25)
        # The photo's grain is grey, and so is that of what is drawn.
        assert np.corrcoef(grain.reshape(-1, 3).T).min() > 0.7


def test_grain_is_continuous_and_the_same_at_the_same_place(
    astronaut: Picture, astronaut_face: Face
) -> None:
    texture = texture_of(astronaut, astronaut_face)
    whole, part = texture.grain_of(Box(0, 0, 300, 40)), texture.grain_of(Box(200, 10, 260, 30))
    assert np.array_equal(whole[10:30, 200:260], part)
    positions = Box(200, 10, 260, 30).pixels()
    assert np.abs(texture.grain_at(positions) - part).max() < 0.01


def test_a_grey_or_toned_photo_is_known(picture: Picture, face: Face) -> None:
    texture = texture_of(picture, face)
    red = np.array([180.0, 60.0, 60.0])
    assert not texture.monochrome
    assert np.array_equal(texture.toned(red), red)
    grey = picture.mean(axis=2, keepdims=True)
    for tint in ([1.0, 1.0, 1.0], [1.08, 0.98, 0.80]):
        toned = texture_of(np.clip(grey * tint, 0, 255).astype(np.uint8), face)
        assert toned.monochrome
        colour = toned.toned(red)
        assert colour / colour[1] == pytest.approx(np.array(tint) / tint[1], rel=0.06)
        light = np.array([0.299, 0.587, 0.114])
        assert colour @ light == pytest.approx(red @ light, rel=0.05)


def test_a_photo_of_drawn_skin_has_no_grain(astronaut_face: Face) -> None:
    flat = np.full((512, 512, 3), 128, np.uint8)
    assert np.abs(texture_of(flat, astronaut_face).grain_of(Box(0, 0, 32, 32))).max() < 0.01


def test_a_blurred_photo_has_a_larger_blur(picture: Picture, face: Face) -> None:
    sharp = texture_of(picture, face).blur
    soft = texture_of(np.asarray(cv2.GaussianBlur(picture, (0, 0), 2)), face).blur
    assert 0.5 <= sharp < soft
    assert soft == pytest.approx(np.hypot(sharp, 2), rel=0.3)


def test_a_face_outside_of_the_picture_has_a_texture(astronaut_face: Face) -> None:
    texture = texture_of(np.zeros((8, 8, 3), np.uint8), astronaut_face)
    assert texture.blur == 0.5
    assert not texture.grain_of(Box(0, 0, 4, 4)).any()

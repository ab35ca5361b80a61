"""Sampling a photo through its double."""

import cv2
import numpy as np

from photoanimer_async.engine.doubled import DoubledPhoto
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, resample


def test_pixels_that_do_not_move_are_the_photo_bit_for_bit(astronaut: Picture) -> None:
    assert np.array_equal(DoubledPhoto.of(astronaut).at(Box.of(astronaut).pixels()), astronaut)


def test_an_odd_photo_can_be_doubled() -> None:
    photo = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    assert np.array_equal(DoubledPhoto.of(photo).at(Box.of(photo).pixels()), photo)


def test_a_photo_of_one_pixel_goes_on_for_ever() -> None:
    photo = np.full((1, 1, 3), 77, np.uint8)
    assert (DoubledPhoto.of(photo).at(Box(-2, -2, 3, 3).pixels()) == 77).all()


def test_it_is_almost_as_good_as_sampling_cubically(astronaut: Picture) -> None:
    face = np.ascontiguousarray(astronaut[40:200, 150:300])
    moved = Box(5, 5, 140, 150).pixels() + np.array([0.3, 0.6], np.float32)
    best = resample(face, moved, cv2.INTER_LANCZOS4)
    doubled = cv2.PSNR(DoubledPhoto.of(face).at(moved), best)
    linear = cv2.PSNR(resample(face, moved), best)
    cubic = cv2.PSNR(resample(face, moved, cv2.INTER_CUBIC), best)
    assert doubled > linear + 3
    assert doubled > cubic - 3

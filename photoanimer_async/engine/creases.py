"""The creases beside a mouth, which smooth out when the lips purse.

A kiss narrows the mouth. The photo's shadows at its corners, and the folds of a smile, would be
squeezed into black marks beside the lips. A grey closing (the dark that is narrower than a disc is
filled with the level around it) tells how much lighter the skin is without them.
"""

import cv2
import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.photo_texture import LUMINANCE
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, resample

_WIDEST = 0.09
"""Width of the widest crease, in u."""
_FINEST = 0.012
"""Deviation of the blur, in u, under which hairs and pores stay as they are."""
_REACH = 0.085
"""Deviation, in u, of the soft spots along each fold of a smile, and beside each corner, in which
creases are smoothed."""
_OUTWARDS = 0.02
"""Distance of the spot beside a corner from it, in u."""
_LIGHTEST = 0.4
"""Largest relative change of brightness."""


def smoothed_creases(picture: Picture, points: Array, unit: float, box: Box, step: int) -> Floats:
    """Return how much lighter the skin beside the mouth is without its creases.

    Args:
        picture: The photo.
        points: The face's landmarks, shape (478, 2).
        unit: u in pixels.
        box: The pixels of the pattern; it may extend beyond the photo.
        step: Distance between the pattern's samples, in pixels.

    Returns:
        The relative change of brightness at each sample of the box, shape (rows, columns).
    """
    samples = box.pixels()[::step, ::step]
    lighter = _lighter(resample(picture, samples).astype(np.float32) @ LUMINANCE, unit / step)
    middle = points[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM]].mean(axis=0)
    away = points[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT]] - middle
    away /= np.maximum(np.hypot(*away.T), 1e-6)[:, None]
    corners = points[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT]] + away * _OUTWARDS * unit
    spots = np.zeros_like(lighter)
    for centre in (*corners, *points[[*lm.FOLD_LEFT[1:], *lm.FOLD_RIGHT[1:]]]):
        offsets = samples - centre.astype(np.float32)
        distance = np.hypot(offsets[..., 0], offsets[..., 1]) / np.float32(_REACH * unit)
        np.maximum(spots, np.exp(-0.5 * distance**2), out=spots)
    return np.asarray(lighter * spots, np.float32)


def _lighter(light: Floats, unit: float) -> Floats:
    """Return the relative difference to the level around creases, (rows, columns)."""
    smooth = cv2.GaussianBlur(light, (0, 0), max(_FINEST * unit, 0.8))
    side = 2 * max(1, round(_WIDEST * unit / 2)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    filled = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, disc)
    filled = cv2.GaussianBlur(filled, (0, 0), max(_WIDEST / 4 * unit, 0.8))
    return np.clip(filled / np.maximum(smooth, 1) - 1, 0, _LIGHTEST).astype(np.float32)

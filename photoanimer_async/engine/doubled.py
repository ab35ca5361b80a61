"""A photo at twice its resolution, from which frames are sampled fast and yet sharp.

Theory of operation
-------------------
Sampling a photo cubically at every pixel of every frame looks at 16 pixels each time. Here the
cubic interpolation is done once, for the points midway between pixels; a frame then samples the
doubled photo linearly, four of its pixels at a time. Those points are so close that linear
sampling between them loses little; the kernel for them is a little sharper than the usual cubic
one and makes up for it. Pixels that do not move come out as they are in the photo, to the bit.
"""

from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Field, resample

_SHARPNESS = 1.2
"""Minus the slope of the cubic kernel one pixel off; 0.75 is OpenCV's."""

_MIDWAY = np.array([-_SHARPNESS, 4 + _SHARPNESS, 4 + _SHARPNESS, -_SHARPNESS]) / 8
"""Weights of four pixels for the point in the middle of them."""


@frozen(eq=False)
class DoubledPhoto:
    """A photo with a pixel added between any two neighbours."""

    _pixels: Picture

    @classmethod
    def of(cls, photo: Picture) -> Self:
        """Double a photo, RGB, shape (H, W, 3)."""
        height, width = photo.shape[:2]
        pixels = np.empty((2 * height - 1, 2 * width - 1, 3), np.uint8)
        across = _between(photo, _MIDWAY[None])[:, :-1]
        pixels[::2, ::2], pixels[::2, 1::2] = photo, across
        pixels[1::2] = _between(np.ascontiguousarray(pixels[::2]), _MIDWAY[:, None])[:-1]
        return cls(pixels)

    def at(self, positions: Field) -> Picture:
        """The photo at positions in its own pixels, (M, N, 2); beyond its rim, that of the rim."""
        return resample(self._pixels, positions * np.float32(2))


def _between(picture: Picture, kernel: NDArray[np.float64]) -> Picture:
    """Each pixel's point midway to the next one, along the kernel."""
    anchor = (min(kernel.shape[1] - 1, 1), min(kernel.shape[0] - 1, 1))
    found = cv2.filter2D(picture, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint8)

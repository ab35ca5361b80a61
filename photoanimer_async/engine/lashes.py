"""The lashes of a closed eye, drawn once for each photo.

They are drawn along a straight lid: x along the eye, v down from the edge of the lid. The frame
samples the drawing at each pixel's x and distance from the lid, so it bends with the lid and has
the photo's resolution.
"""

from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.warp import resample

_REACH = 0.66
"""Extent of the drawing on either side of the eye's middle, in widths of the eye."""
_TOP, _BOTTOM = -0.05, 0.12
"""Its vertical extent around the lid's edge, in widths of the eye, before it is blurred."""

_COUNT = 46
_LENGTH = 0.075
"""Length of the longest lashes, in widths of the eye."""
_LINE = 0.021
"""Half thickness of the line between closed lids, in widths of the eye."""

_FAINTEST, _DENSEST = 0.78, 0.88
"""Limits of the largest opacity."""

_LEAST_WIDTH = 48
"""Width of an eye in the drawing, in pixels, that a smaller eye is drawn with."""

_SHIFT = 4
"""Fractional bits of coordinates that OpenCV draws at."""

_FINER = 4
"""How much finer than the photo lashes are drawn."""


@frozen(eq=False)
class Lashes:
    """The lashes of one eye: an opacity, 0 to 1, for each position along and under the lid."""

    _alpha: Floats
    _scale: float  # pixels of the drawing for each pixel of the photo
    _left: float  # x and v of its first pixel
    _top: float

    @classmethod
    def drawn(cls, width: float, outwards: int, blur: float) -> Self:
        """Draw the lashes of an eye.

        Args:
            width: Width of the eye, in pixels.
            outwards: Direction of x that leads away from the nose, -1 or 1.
            blur: Deviation of the photo's blur, in pixels.
        """
        scale = max(1.0, _LEAST_WIDTH / width)
        margin = 3 * blur / width
        left, top = -_REACH - margin, _TOP - margin
        fine = width * scale * _FINER
        shape = (round((_BOTTOM + margin - top) * fine), round(-2 * left * fine))
        x = (np.arange(shape[1]) / fine + left).astype(np.float32) * np.float32(outwards)
        v = (np.arange(shape[0]) / fine + top).astype(np.float32)[:, None]
        thickness = np.float32(_LINE) * (np.float32(0.8) + np.float32(0.5) * np.clip(x + 0.3, 0, 1))
        line = np.exp(-0.5 * (v / thickness) ** 2)
        strands = _strands(shape, fine, -np.array([left, top]), outwards)
        # The mean of each block has the drawing's scale.
        size = (round(shape[1] / _FINER), round(shape[0] / _FINER))
        alpha = np.maximum(line, strands) * _ends(x)
        alpha = cv2.resize(alpha.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(blur * scale, 0.3)), np.float32)
        # Blur must not make the line vanish: there is a shadow as well.
        peak = max(float(alpha.max()), 1e-3)
        alpha *= min(max(peak, _FAINTEST), _DENSEST) / peak
        alpha[[0, -1]] = 0
        alpha[:, [0, -1]] = 0
        return cls(alpha, scale, left * width, top * width)

    def at(self, x: Floats, v: Floats) -> Floats:
        """Return the opacity at positions along the eye and below the lid's edge, in pixels."""
        place = np.dstack([x - np.float32(self._left), v - np.float32(self._top)])
        place *= np.float32(self._scale)
        place -= np.float32(0.5 - 0.5 / _FINER)  # a block's position is that of its middle
        return resample(self._alpha, place, border=cv2.BORDER_CONSTANT)


def _strands(shape: tuple[int, int], fine: float, origin: Array, outwards: int) -> Floats:
    """Draw single lashes.

    Args:
        shape: Of the drawing.
        fine: Its pixels for each width of the eye.
        origin: The middle of the lid's edge in it, shape (2,), in widths of the eye.
        outwards: Direction of x that leads away from the nose, -1 or 1.
    """
    rng = np.random.default_rng(11)
    drawing = np.zeros(shape, np.uint8)
    lines = []
    for t in np.linspace(-0.46, 0.53, _COUNT) + rng.uniform(-0.008, 0.008, _COUNT):
        length = _LENGTH * (0.35 + 0.65 * (t + 0.5)) * rng.uniform(0.6, 1.0)
        tip = t + length * (0.9 * t + 0.25 + rng.uniform(-0.15, 0.15))
        curve = np.array([[t, 0], [(2 * t + tip) / 3, 0.6 * length], [tip, length]])
        points = (curve * [outwards, 1] + origin) * fine
        lines.append((points * (1 << _SHIFT)).round().astype(np.int32))
    thick = max(1, round(0.007 * fine))
    cv2.polylines(
        drawing, lines, isClosed=False, color=192, thickness=thick, lineType=cv2.LINE_AA,
        shift=_SHIFT,
    )  # fmt: skip
    return drawing.astype(np.float32) / np.float32(255)


def _ends(x: Floats) -> Floats:
    """Return how strong the line is along the eye; x grows outwards, in widths of the eye."""
    inner = np.clip((x + np.float32(0.53)) / np.float32(0.3), 0, 1)
    outer = np.clip((np.float32(0.60) - x) / np.float32(0.12), 0, 1)
    return np.asarray(np.sqrt(inner) * outer, np.float32)

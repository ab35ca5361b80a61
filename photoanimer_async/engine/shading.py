"""Shading: light and shadow that an expression adds to the skin.

Theory of operation
-------------------
When a face smiles, folds appear that a warp of its resting skin cannot show. They are drawn as
*patterns* in the pixels of the photo: relative changes of brightness, negative in a fold, positive
on the skin that bulges beside it. A frame adds the patterns up, each times the strength of its
expression, and samples the sum at the sources of its pixels. So the folds ride on the warp: they
move with the skin, through the map that the frame has anyway.
"""

from collections.abc import Mapping
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.warp import Box

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

_INVISIBLE = 0.004
"""Strength of a pattern that changes no pixel by a level."""

_SUBPIXEL = 4
"""Binary digits of a pixel's fraction in which lines are drawn."""

_FOLD_DEPTH = 0.13
"""How much darker a fold is at a full smile."""

_FOLD_WIDTH, _CHEEK_WIDTH = 0.018, 0.05
"""Standard deviations, in u, of the dark line and of the light on the cheek beside it."""


@frozen(eq=False)
class Shading:
    """The shading of one face.

    Attributes:
        box: The pixels of the photo that any pattern covers.
        patterns: The relative change of brightness by each coefficient at 1, shape (height,
            width) of the box; 0 at the box's border.
    """

    box: Box
    patterns: Mapping[str, Floats]

    @classmethod
    def of(cls, landmarks: Array, unit: float) -> Self:
        """Draw the patterns of a face with these landmarks, shape (478, 3); u in pixels."""
        folds = {
            "mouthSmileLeft": landmarks[list(lm.FOLD_LEFT), :2],
            "mouthSmileRight": landmarks[list(lm.FOLD_RIGHT), :2],
        }
        middle = landmarks[lm.NOSE_TIP, :2]
        box = Box.around(np.concatenate(list(folds.values())), 4 * _CHEEK_WIDTH * unit)
        return cls(box, {name: _fold(box, line, middle, unit) for name, line in folds.items()})

    def gain(self, motion: FaceMotion) -> Floats | None:
        """Return the factor of brightness of each pixel of the box; None if nothing changes."""
        strengths = {name: motion.get(name, 0.0) for name in self.patterns}
        shown = [
            pattern * np.float32(strengths[name])
            for name, pattern in self.patterns.items()
            if strengths[name] > _INVISIBLE
        ]
        return np.asarray(sum(shown, np.float32(1)), np.float32) if shown else None


def _fold(box: Box, line: Array, middle: Array, unit: float) -> Floats:
    """Return the pattern of a fold along a line, shape (n, 2), with the face's middle inside it."""
    outwards = line.mean(axis=0) - middle
    outwards *= _CHEEK_WIDTH * unit / np.hypot(*outwards)
    dark = _soft_line(box, line, _FOLD_WIDTH * unit)
    light = _soft_line(box, line + outwards, _CHEEK_WIDTH * unit)
    return np.asarray(_FOLD_DEPTH * (light / 3 - dark), np.float32)


def _soft_line(box: Box, line: Array, width: float) -> Floats:
    """Draw a line of brightness 1 with soft edges and fading ends."""
    canvas = np.zeros((box.height, box.width), np.float32)
    steps = np.linspace(0, len(line) - 1, 24)
    points = np.stack([np.interp(steps, np.arange(len(line)), axis) for axis in line.T], axis=-1)
    drawn = np.round((points - [box.left, box.top]) * 2**_SUBPIXEL).astype(np.int32)
    thickness = max(1, round(width))
    cv2.polylines(
        canvas, [drawn[4:-4]], isClosed=False, color=1.0, thickness=thickness, shift=_SUBPIXEL
    )
    soft = np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(width, 0.6)), np.float32)
    return soft / max(float(soft.max()), 1e-6)

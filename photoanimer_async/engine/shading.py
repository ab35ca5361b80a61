"""Shading: light and shadow that an expression adds to the skin.

Theory of operation
-------------------
When a face smiles, folds appear that a warp of its resting skin cannot show. They are drawn as
*patterns* in the pixels of the photo: relative changes of brightness, negative in a fold, positive
on the skin that bulges beside it. A frame adds the patterns up, each times the strength of its
expression, and samples the sum at the sources of its pixels. So the folds ride on the warp: they
move with the skin, through the map that the frame has anyway.

Patterns are smooth, so on large faces they are drawn and sampled on every n-th pixel.

| expression | folds |
|---|---|
| mouthSmile | from the wing of the nose past the corner of the mouth |
| cheekSquint | crow's feet, a furrow under the eye, and light on the raised cheek |
| browUp | two lines across the forehead |
| browDown | one upright line above the inner end of the brow |
| mouthPucker | none: creases beside the mouth and folds of a smile smooth out (`creases`) |
"""

from collections.abc import Mapping, Sequence
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.creases import smoothed_creases
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, resample

UNCHANGED = 160
"""Level of a gain that changes nothing."""

_INVISIBLE = 0.004
"""Strength of a pattern that changes no pixel by a level."""

_BULGE = 0.06
"""Standard deviation, in u, of the light beside a fold."""

_WARMTH = 0.8
"""How much the colour of skin adds to that of its folds."""

_SUBPIXEL = 4
"""Binary digits of a pixel's fraction in which lines are drawn."""

_RESOLUTION = 110
"""Samples for each u from which on patterns are drawn on every n-th pixel."""

_SIDES = (
    ("Left", lm.FOLD_LEFT, lm.UNDER_EYE_LEFT, lm.EYE_LEFT_OUTER, lm.BROW_LEFT_UPPER),
    ("Right", lm.FOLD_RIGHT, lm.UNDER_EYE_RIGHT, lm.EYE_RIGHT_OUTER, lm.BROW_RIGHT_UPPER),
)


@frozen
class _Line:
    """A fold: a dark line of Gaussian profile, with light beside it; lengths in u."""

    points: Array  # (n, 2), in pixels
    depth: float
    width: float
    light: float = 0.0
    bulge: tuple[float, float] = (0.0, 0.0)  # offset of the light, in pixels


@frozen(eq=False)
class Shading:
    """The shading of one face.

    Attributes:
        box: The pixels of the photo that any pattern covers.
        step: Distance between samples of the patterns, in pixels.
        patterns: The relative change of brightness by each coefficient at 1, shape (rows, columns)
            of samples of the box; 0 at the box's border.
        tints: The gain of each channel at each gain of brightness, in units of 1 / `UNCHANGED`,
            shape (1, 256, 3).
    """

    box: Box
    step: int
    patterns: Mapping[str, Floats]
    tints: NDArray[np.uint8]

    @classmethod
    def of(cls, picture: Picture, landmarks: Array, unit: float, glasses: float = 0.0) -> Self:
        """Draw the patterns of a face.

        Args:
            picture: The photo.
            landmarks: Shape (478, 3).
            unit: u in pixels.
            glasses: Confidence that it wears glasses, 0 to 1: they hide folds around the eyes.
        """
        points = landmarks[:, :2]
        folds = {
            f"{name}{side}": lines
            for side, fold, under, corner, brow in _SIDES
            for name, lines in (
                ("mouthSmile", _smile(points, fold, unit)),
                ("cheekSquint", _squint(points, under, corner, unit, 1 - 0.8 * glasses)),
                ("browUp", _raised_brow(points, brow, unit)),
                ("browDown", _lowered_brow(points, brow)),
            )
        }
        step = max(1, int(unit // _RESOLUTION))
        drawn = np.concatenate([line.points for lines in folds.values() for line in lines])
        box = Box.around(drawn, 0.3 * unit)
        patterns = {name: _drawn(lines, box, step, unit) for name, lines in folds.items()}
        patterns["mouthPucker"] = smoothed_creases(picture, points, unit, box, step)
        return cls(box, step, patterns, _tints(picture, points))

    def gain(self, motion: FaceMotion) -> Picture | None:
        """Return the brightness of each sample of the box; None if nothing changes.

        Returns:
            Shape (rows, columns, 3), in units of 1 / `UNCHANGED`.
        """
        total: Floats | None = None
        for name, pattern in self.patterns.items():
            strength = motion.get(name, 0.0)
            if strength > _INVISIBLE:
                if total is None:
                    total = np.full_like(pattern, UNCHANGED)
                cv2.scaleAdd(pattern, strength * UNCHANGED, total, dst=total)
        if total is None:
            return None
        levels = np.clip(total + np.float32(0.5), 0, 255).astype(np.uint8)
        grey = cv2.cvtColor(levels, cv2.COLOR_GRAY2RGB)
        return np.asarray(cv2.LUT(grey, self.tints), np.uint8)

    def apply(self, gain: Picture, target: Picture, place: Field) -> None:
        """Shade a part of a frame.

        Args:
            gain: The brightness of the samples.
            target: The part, shape (h, w, 3); changed in place.
            place: The source of each pixel in the box, shape (h, w, 2), in pixels.
        """
        step = self.step
        if step == 1:
            cv2.multiply(target, resample(gain, place), dst=target, scale=1 / UNCHANGED)
            return
        # Less than a block is left over at the border, where nothing changes.
        rows, columns = target.shape[0] // step, target.shape[1] // step
        middles = place[step // 2 :: step, step // 2 :: step][:rows, :columns]
        found = resample(gain, middles * np.float32(1 / step))
        grown = cv2.resize(found, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
        part = target[: rows * step, : columns * step]
        cv2.multiply(part, grown, dst=part, scale=1 / UNCHANGED)


def _tints(picture: Picture, points: Array) -> NDArray[np.uint8]:
    """Return the gain of each channel at each gain of brightness, shape (1, 256, 3).

    Light that skin throws into its folds has its colour: there, skin is not greyer but warmer.
    """
    height, width = picture.shape[:2]
    x, y = points[: lm.MESH_COUNT].round().astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seen = picture[y[inside], x[inside]]
    skin = np.median(seen, axis=0) if len(seen) else np.ones(3)
    power = 1 - _WARMTH * (skin / max(float(skin.mean()), 1.0) - 1)
    levels = np.arange(256)[:, None] / UNCHANGED
    return np.clip(levels**power * UNCHANGED + 0.5, 0, 255).astype(np.uint8)[None]


def _smile(points: Array, fold: tuple[int, ...], unit: float) -> list[_Line]:
    """Return the fold from the wing of the nose past the corner of the mouth."""
    line = points[list(fold)]
    outwards = line.mean(axis=0) - points[lm.NOSE_TIP]
    outwards = outwards * 0.06 * unit / max(float(np.hypot(*outwards)), 1e-6)
    bulge = (float(outwards[0]), float(outwards[1]))
    return [_Line(line, 0.10, 0.024, 0.045, bulge), _Line(line - outwards / 4, 0.07, 0.055)]


def _squint(
    points: Array, under: tuple[int, ...], corner: int, unit: float, shown: float
) -> list[_Line]:
    """Return crow's feet and the furrow under the eye, with the raised cheek below it."""
    eye = points[corner]
    away = eye - points[lm.BETWEEN_BROWS]
    away = away / max(float(np.hypot(*away)), 1e-6)
    down = np.array([-away[1], away[0]])
    if down @ (points[lm.CHIN] - points[lm.FOREHEAD]) < 0:
        down = -down
    feet = [
        np.stack([
            eye + unit * (0.09 * away + 0.35 * slope * down),
            eye + unit * (0.15 * away + 0.80 * slope * down),
            eye + unit * (0.22 * away + 1.35 * slope * down + 0.01 * down),
        ])
        for slope in (-0.055, 0.015, 0.085)
    ]  # fmt: skip
    furrow = points[list(under)] + down * 0.012 * unit
    bulge = (float(down[0]) * 0.11 * unit, float(down[1]) * 0.11 * unit)
    return [
        *(_Line(foot, 0.06 * shown, 0.014) for foot in feet),
        _Line(furrow, 0.08 * shown, 0.024, 0.045, bulge),
    ]


def _raised_brow(points: Array, brow: tuple[int, ...], unit: float) -> list[_Line]:
    """Return the halves on one side of two lines across the forehead."""
    up = points[lm.FOREHEAD] - points[lm.BETWEEN_BROWS]
    arch = np.concatenate([points[list(brow)], points[[lm.BETWEEN_BROWS]] + 0.15 * up])
    return [
        _Line(arch + up * height, depth, 0.022, depth / 3, (0.0, -0.045 * unit))
        for height, depth in ((0.36, 0.075), (0.58, 0.055))
    ]


def _lowered_brow(points: Array, brow: tuple[int, ...]) -> list[_Line]:
    """Return the upright line above the inner end of the brow."""
    up = points[lm.FOREHEAD] - points[lm.BETWEEN_BROWS]
    start = 0.62 * points[brow[-1]] + 0.38 * points[lm.BETWEEN_BROWS]
    return [
        _Line(np.stack([start - 0.08 * up, start + 0.05 * up, start + 0.22 * up]), 0.085, 0.022)
    ]


def _drawn(lines: Sequence[_Line], box: Box, step: int, unit: float) -> Floats:
    """Draw folds on every `step`-th pixel of a box."""
    shape = (-(-box.height // step), -(-box.width // step))
    pattern = np.zeros(shape, np.float32)
    scale = unit / step
    for line in lines:
        place = (_curve(line.points) - [box.left, box.top]) / step
        _add_soft_line(pattern, place, line.width * scale, -line.depth)
        if line.light:
            beside = place + np.array(line.bulge) / step
            _add_soft_line(pattern, beside, _BULGE * scale, line.light)
    return pattern


def _curve(points: Array) -> Array:
    """Return a smooth curve through points, (n, 2), at 24 steps."""
    degree = min(3, len(points) - 1)
    at = np.linspace(0, 1, len(points))
    steps = np.linspace(0, 1, 24)
    return np.stack([np.polyval(np.polyfit(at, axis, degree), steps) for axis in points.T], axis=-1)


def _add_soft_line(pattern: Floats, line: Array, width: float, strength: float) -> None:
    """Add a line of some strength, with soft edges and fading ends; lengths in samples."""
    width = max(width, 0.6)
    near = Box.around(line, 4 * width) & Box.of(pattern)
    if near.empty:
        return
    canvas = np.zeros((near.height, near.width), np.float32)
    at = np.round((line - [near.left, near.top]) * 2**_SUBPIXEL).astype(np.int32)
    stroke = np.zeros_like(canvas)
    for part in range(5):
        # Overlapping strokes, each shorter than the one before: the ends fade.
        drawn = at[part : len(at) - part]
        cv2.polylines(stroke, [drawn], isClosed=False, color=1.0, thickness=1, shift=_SUBPIXEL)
        canvas += stroke
        stroke[:] = 0
    soft = np.asarray(cv2.GaussianBlur(canvas, (0, 0), width), np.float32)
    pattern[near.slices] += soft * np.float32(strength / max(float(soft.max()), 1e-6))

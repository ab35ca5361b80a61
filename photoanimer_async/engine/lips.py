"""The inner edges of the lips: where the mouth opens.

Positions are in the mouth's own coordinates: x from the left inner corner to the right one, y
down, the origin midway between them, in pixels.
"""

from collections.abc import Mapping
from typing import Self, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.fields import Lip
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.shapes import Shapes
from photoanimer_async.engine.warp import Box, Field, resample

Array: TypeAlias = NDArray[np.float64]
Floats: TypeAlias = NDArray[np.float32]

_SAMPLES = 96
"""Samples of a lip's edge from corner to corner."""

_GROUPS = {Lip.UPPER: lm.LIPS_INNER_UPPER, Lip.LOWER: lm.LIPS_INNER_LOWER}
_MIDDLE = 5
"""Place of a lip's middle among its landmarks."""

_STILL = 0.02
"""Movement of the edges, in pixels, that nobody sees."""


@frozen(eq=False)
class MouthAxes:
    """The mouth's coordinates in a picture.

    Attributes:
        origin: Their origin in the picture, shape (2,).
        turn: Rotation from them to the picture, shape (2, 2).
        half_width: From the origin to a corner in the photo.
    """

    origin: Array
    turn: Array
    half_width: float

    @classmethod
    def of(cls, landmarks: Array) -> Self:
        """The mouth of a face with the given landmarks, shape (478, 3)."""
        left, right = landmarks[[lm.LIPS_INNER_UPPER[0], lm.LIPS_INNER_UPPER[-1]], :2]
        width = max(float(np.hypot(*(right - left))), 1.0)
        across = (right - left) / width
        turn = np.stack([across, [-across[1], across[0]]], axis=1)
        return cls((left + right) / 2, turn, width / 2)

    def local(self, positions: Field) -> tuple[Floats, Floats]:
        """Coordinates x and y of positions in the picture, shape (..., 2)."""
        x, y = np.moveaxis(positions - self.origin.astype(np.float32), -1, 0)
        (cos, _), (sin, _) = self.turn.astype(np.float32)
        return x * cos + y * sin, y * cos - x * sin

    def in_picture(self, x: Floats, y: Floats) -> Field:
        """Positions in the picture, shape (..., 2), of x and y."""
        (cos, _), (sin, _) = self.turn.astype(np.float32)
        left, top = self.origin.astype(np.float32)
        return np.stack([x * cos - y * sin + left, x * sin + y * cos + top], axis=-1)

    def box(self, lips: "Lips", margin: float) -> Box:
        """The pixels between the lips and a margin around them."""
        corners = [
            [x, y] for x in (lips.left, lips.right) for y in (lips.upper.min(), lips.lower.max())
        ]
        return Box.around(np.array(corners) @ self.turn.T + self.origin, margin)


@frozen(eq=False)
class LipEdges:
    """The lips' edges at some positions, each of shape (h, w).

    Attributes:
        upper, lower: y of the edges.
        upper_slant, lower_slant: What turns a vertical distance from an edge into the shortest.
    """

    upper: Floats
    lower: Floats
    upper_slant: Floats
    lower_slant: Floats


@frozen(eq=False)
class Lips:
    """The inner edges of both lips at one moment.

    Attributes:
        left, right: x of the corners.
        upper, lower: y of the edges at even steps from corner to corner, shape (n,).
        jaw: By how much the lower lip's middle sank since the photo was taken.
        parted: By how much the mouth is wider open than in the photo.
        still: Whether the edges lie as in the photo.
    """

    left: float
    right: float
    upper: Array
    lower: Array
    jaw: float
    parted: float
    still: bool
    _table: Floats

    @classmethod
    def through(cls, upper: Array, lower: Array, rest: "RestingLips", *, still: bool) -> Self:
        """Edges through given points, shape (11, 2), from the left corner to the right one."""
        ends = (upper[[0, -1]] + lower[[0, -1]]) / 2
        left, right = float(ends[0, 0]), float(ends[1, 0])
        right = max(right, left + 1)
        steps = np.linspace(left, right, _SAMPLES)
        edges = []
        for points in (upper, lower):
            smooth = _SPLINE @ np.concatenate([ends[:1], points[1:-1], ends[1:]])
            order = np.argsort(smooth[:, 0], kind="stable")
            edges.append(np.interp(steps, smooth[order, 0], smooth[order, 1]))
        above, below = edges[0], np.maximum(*edges)
        slants = [
            1 / np.hypot(1, np.gradient(edge, steps[1] - steps[0])) for edge in (above, below)
        ]
        table = np.stack([above, below, *slants], axis=-1)[None].astype(np.float32)
        jaw = float(lower[_MIDDLE, 1]) - rest.lower
        parted = float(lower[_MIDDLE, 1] - upper[_MIDDLE, 1]) - rest.gap
        return cls(left, right, above, below, jaw, parted, still, table)

    def edges(self, x: Floats) -> LipEdges:
        """The edges at each x, shape (h, w); beyond the corners, those of the corner."""
        step = (self.right - self.left) / (_SAMPLES - 1)
        place = (x - np.float32(self.left)) * np.float32(1 / step)
        found = resample(self._table, np.dstack([place, np.zeros_like(place)]))
        return LipEdges(*np.moveaxis(found, -1, 0))


@frozen(eq=False)
class RestingLips:
    """The lips in the photo, and how shapes move them.

    Attributes:
        middle: x of the lips' middle.
        upper, lower: y of the edges there.
    """

    middle: float
    upper: float
    lower: float
    _points: Mapping[Lip, Array]  # (11, 2)
    _moves: Mapping[Lip, Array]  # (shapes, 11, 2)

    @classmethod
    def of(cls, landmarks: Array, axes: MouthAxes, frame: FaceFrame, shapes: Shapes) -> Self:
        """The lips of a face with the given landmarks, shape (478, 3)."""
        points, moves = {}, {}
        for lip, group in _GROUPS.items():
            points[lip] = (landmarks[list(group), :2] - axes.origin) @ axes.turn
            fields = shapes.fields(frame.local[list(group), :2], lip)
            moves[lip] = frame.project(fields) @ axes.turn
        middle, upper = points[Lip.UPPER][_MIDDLE]
        lower = float(points[Lip.LOWER][_MIDDLE, 1])
        return cls(float(middle), float(upper), lower, points, moves)

    @property
    def gap(self) -> float:
        """Between the lips' middles; 0 or more."""
        return max(self.lower - self.upper, 0.0)

    def moved(self, coefficients: Floats) -> Lips:
        """The lips under the coefficients of `shapes.SKIN`."""
        moves = {lip: np.tensordot(coefficients, self._moves[lip], 1) for lip in Lip}
        upper, lower = (self._points[lip] + moves[lip] for lip in Lip)
        still = all(np.abs(moves[lip]).max() < _STILL for lip in Lip)
        return Lips.through(upper, lower, self, still=still)


def _spline_matrix(points: int, samples: int) -> Array:
    """Maps `points` values to `samples` on a Catmull-Rom curve through them."""
    padded = np.eye(points)[np.clip(np.arange(-1, points + 1), 0, points - 1)]
    t = np.linspace(0, points - 1, samples)
    start = np.minimum(t.astype(int), points - 2)
    f = (t - start)[:, None]
    a, b, c, d = (padded[start + offset] for offset in range(4))
    curve = 2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2
    return np.asarray(0.5 * (curve + (3 * b - a - 3 * c + d) * f**3))


_SPLINE = _spline_matrix(len(lm.LIPS_INNER_UPPER), _SAMPLES)

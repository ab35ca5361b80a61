"""The inner edges of the lips, between which the mouth opens.

Positions are in mouth coordinates: x from the left inner corner to the right one, y down, the
origin midway between them, in pixels.
"""

from typing import Self

import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import Blendshapes
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.warp import Box, Field, resample

_SAMPLES = 96
"""Number of samples of a lip's edge from corner to corner."""

_GROUPS = {Lip.UPPER: lm.LIPS_INNER_UPPER, Lip.LOWER: lm.LIPS_INNER_LOWER}
_MIDDLE = 5
"""Index of a lip's middle among its landmarks."""

_INVISIBLE = 0.02
"""Movement of the edges, in pixels, that is not visible."""


@frozen(eq=False)
class MouthAxes:
    """The mouth's coordinate system in a picture.

    Attributes:
        origin: Its origin in the picture, shape (2,).
        turn: Rotation from mouth to picture coordinates, shape (2, 2).
        half_width: Distance from the origin to a corner, in the photo.
    """

    origin: Array
    turn: Array
    half_width: float

    @classmethod
    def of(cls, landmarks: Array) -> Self:
        """Return the axes for a face with these landmarks, shape (478, 3)."""
        left, right = landmarks[[lm.LIPS_INNER_UPPER[0], lm.LIPS_INNER_UPPER[-1]], :2]
        width = max(float(np.hypot(*(right - left))), 1.0)
        across = (right - left) / width
        turn = np.stack([across, [-across[1], across[0]]], axis=1)
        return cls((left + right) / 2, turn, width / 2)

    def local(self, positions: Field) -> tuple[Floats, Floats]:
        """Map positions in the picture, shape (..., 2), to x and y."""
        x, y = np.moveaxis(positions - self.origin.astype(np.float32), -1, 0)
        (cos, _), (sin, _) = self.turn.astype(np.float32)
        return x * cos + y * sin, y * cos - x * sin

    def in_picture(self, x: Floats, y: Floats) -> Field:
        """Map x and y to positions in the picture, shape (..., 2)."""
        (cos, _), (sin, _) = self.turn.astype(np.float32)
        left, top = self.origin.astype(np.float32)
        return np.stack([x * cos - y * sin + left, x * sin + y * cos + top], axis=-1)

    def box(self, lips: "Lips", margin: float) -> Box:
        """Return the pixels between the lips, and a margin around them."""
        corners = [
            [x, y] for x in (lips.left, lips.right) for y in (lips.upper.min(), lips.lower.max())
        ]
        return Box.around(np.array(corners) @ self.turn.T + self.origin, margin)


@frozen(eq=False)
class LipEdges:
    """The lips' edges at given positions, each of shape (h, w).

    Attributes:
        upper, lower: y of the edges.
        upper_slant, lower_slant: Factor from the vertical to the shortest distance to an edge.
    """

    upper: Floats
    lower: Floats
    upper_slant: Floats
    lower_slant: Floats


@frozen(eq=False)
class Lips:
    """The inner edges of both lips in one frame.

    Attributes:
        left, right: x of the corners.
        upper, lower: y of the edges at even steps from corner to corner, shape (n,).
        jaw: How much lower the lower lip's middle is than in the photo.
        parted: How much wider the mouth is open than in the photo.
        still: Whether the edges are as in the photo.
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
        """Return edges through points, shape (11, 2), from the left corner to the right one."""
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
        table = np.empty((1, _SAMPLES, 4), np.float32)
        for column, edge in enumerate((above, below)):
            slope = np.diff(edge, append=2 * edge[-1] - edge[-2]) / (steps[1] - steps[0])
            table[0, :, column], table[0, :, column + 2] = edge, 1 / np.sqrt(1 + slope * slope)
        jaw = float(lower[_MIDDLE, 1]) - rest.lower
        parted = float(lower[_MIDDLE, 1] - upper[_MIDDLE, 1]) - rest.gap
        return cls(left, right, above, below, jaw, parted, still, table)

    def edges(self, x: Floats) -> LipEdges:
        """Return the edges at each x, shape (h, w); beyond a corner, those at the corner."""
        step = (self.right - self.left) / (_SAMPLES - 1)
        place = (x - np.float32(self.left)) * np.float32(1 / step)
        found = resample(self._table, np.dstack([place, np.zeros_like(place)]))
        return LipEdges(*np.moveaxis(found, -1, 0))


@frozen(eq=False)
class RestingLips:
    """The lips in the photo, and how blendshapes move them.

    Attributes:
        middle: x of the lips' middle.
        upper, lower: y of the edges there.
    """

    middle: float
    upper: float
    lower: float
    _points: Array  # of both lips, (2, 11, 2)
    _moves: Array  # of all points, (blendshapes, 44)

    @classmethod
    def of(
        cls,
        landmarks: Array,
        axes: MouthAxes,
        coordinates: FaceCoordinates,
        blendshapes: Blendshapes,
    ) -> Self:
        """Prepare the lips of a face with these landmarks, shape (478, 3)."""
        points, moves = [], []
        for lip, group in _GROUPS.items():
            points.append((landmarks[list(group), :2] - axes.origin) @ axes.turn)
            fields = blendshapes.fields(coordinates.local[list(group), :2], lip)
            moves.append(coordinates.project(fields) @ axes.turn)
        (middle, upper), (_, lower) = (edge[_MIDDLE].tolist() for edge in points)
        both = np.stack(moves, axis=1)
        return cls(middle, upper, lower, np.stack(points), both.reshape(len(both), -1))

    @property
    def gap(self) -> float:
        """Distance between the lips' middles, at least 0."""
        return max(self.lower - self.upper, 0.0)

    def moved(self, coefficients: Floats) -> Lips:
        """Return the lips with these coefficients of `blendshapes.SKIN`."""
        moves = (coefficients @ self._moves).reshape(self._points.shape)
        upper, lower = self._points + moves
        return Lips.through(upper, lower, self, still=bool(np.abs(moves).max() < _INVISIBLE))


def _spline_matrix(points: int, samples: int) -> Array:
    """Return the matrix from `points` values to `samples` on a Catmull-Rom curve through them."""
    padded = np.eye(points)[np.clip(np.arange(-1, points + 1), 0, points - 1)]
    t = np.linspace(0, points - 1, samples)
    start = np.minimum(t.astype(int), points - 2)
    f = (t - start)[:, None]
    a, b, c, d = (padded[start + offset] for offset in range(4))
    curve = 2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2
    return np.asarray(0.5 * (curve + (3 * b - a - 3 * c + d) * f**3))


_SPLINE = _spline_matrix(len(lm.LIPS_INNER_UPPER), _SAMPLES)

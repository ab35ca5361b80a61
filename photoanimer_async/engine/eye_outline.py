"""The shape of an eye: its axes, its lids and its iris, from landmarks.

In the eye's coordinates (x from the left corner to the right one, y down, the origin midway between
the corners, in pixels), each lid is a polynomial that is 0 at the corners.
"""

from typing import Self

import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats

_GROUPS = {
    "Left": (lm.EYE_LEFT_UPPER, lm.EYE_LEFT_LOWER, lm.BROW_LEFT_LOWER, lm.IRIS_LEFT),
    "Right": (lm.EYE_RIGHT_UPPER, lm.EYE_RIGHT_LOWER, lm.BROW_RIGHT_LOWER, lm.IRIS_RIGHT),
}


@frozen(eq=False)
class EyeOutline:
    """The axes and the lids of an eye.

    Attributes:
        side: "Left" or "Right", the side in the picture.
        centre: The origin in the picture, shape (2,).
        turn: Rotation from the eye's axes to the picture's, shape (2, 2).
        width: Distance between the corners, at least 2.
        opening: Largest distance between the lids, relative to the width.
        brow: y of the brow's lower edge.
        iris: Centre of the iris, shape (2,).
        iris_radius: Its radius.
    """

    side: str
    centre: Array
    turn: Array
    width: float
    opening: float
    brow: float
    iris: Array
    iris_radius: float
    _upper: Array  # coefficients of the lids, see `_lid`
    _lower: Array

    @classmethod
    def of(cls, landmarks: Array, side: str) -> Self:
        """Return the eye on a side of the picture; landmarks have the shape (478, 3)."""
        upper, lower, brow, iris = _GROUPS[side]
        start, end = landmarks[upper[0], :2], landmarks[upper[-1], :2]
        width = max(float(np.hypot(*(end - start))), 2.0)
        right, centre = (end - start) / width, (start + end) / 2
        turn = np.stack([right, [-right[1], right[0]]], axis=1)

        def local(group: tuple[int, ...]) -> Array:
            return np.asarray((landmarks[list(group), :2] - centre) @ turn)

        rim, lids = local(iris), (local(upper), local(lower))
        return cls(
            side, centre, turn, width,
            float(np.clip(lids[1] - lids[0], 0, None)[:, 1].max()) / width,
            float(local(brow)[:, 1].mean()), rim[0],
            float(np.hypot(*(rim[1:] - rim[0]).T).mean()),
            *(_fit_lid(points, width) for points in lids),
        )  # fmt: skip

    @property
    def outwards(self) -> int:
        """Direction of x that leads away from the nose, -1 or 1."""
        return -1 if self.side == "Left" else 1

    def upper(self, x: Floats) -> Floats:
        """Return y of the upper lid at each x."""
        return _lid(self._upper, x / np.float32(self.width / 2))

    def lower(self, x: Floats) -> Floats:
        """Return y of the lower lid at each x."""
        return _lid(self._lower, x / np.float32(self.width / 2))


def _fit_lid(points: Array, width: float) -> Array:
    x = points[1:-1, 0] / (width / 2)
    arch = 1 - x * x
    terms = np.stack([arch, arch * x, arch * x * x], axis=1)
    return np.asarray(np.linalg.lstsq(terms, points[1:-1, 1], rcond=None)[0], np.float64)


def _lid(coefficients: Array, x: Floats) -> Floats:
    """Return y of a lid, 0 beyond the corners; x is in half widths of the eye."""
    clipped = np.clip(x, -1, 1)
    a, b, c = (np.float32(value) for value in coefficients)
    return np.asarray((1 - clipped * clipped) * (a + clipped * (b + clipped * c)), np.float32)

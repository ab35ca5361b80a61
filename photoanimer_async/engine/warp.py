"""Displacement fields on lattices, and how they become one map of a picture.

Theory of operation
-------------------
A *forward* field says by how much each point of the photo moves: ``p -> p + d(p)``. To draw the
result the opposite is needed, a *backward* field: for each pixel of the result, where in the
photo it comes from: ``q -> q - b(q)``. The two belong together by ``b(q) = d(q - b(q))``, which
`inverse` solves by a fixed point. Where the field is steep it is damped: so the iteration
converges wherever the field does not fold (``d`` falls by less than one pixel per pixel) and
rises by less than three pixels per pixel; undamped, it would diverge from a rise of one. Gentle
fields get there undamped, in fewer rounds.

Faces move smoothly, so fields are kept on a coarse `Lattice` whose nodes lie at the centres of
square cells. Enlarging such a field to pixels is then exactly a resize by the cell's side. Fields
are composed on the lattice where they are smooth, and at pixels only where lips and lids part.
The photo itself is resampled once, through the sum of everything (see `doubled`): each further
pass would cost sharpness.
"""

import math
from typing import Any, Self, TypeAlias, TypeVar, cast

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float32]
"""Displacements or positions in pixels, shape (..., 2), x before y."""

_Sample = TypeVar("_Sample", np.uint8, np.float32)

_Float = TypeVar("_Float", np.float32, np.float64)

_NO_MAP: Any = None
"""OpenCV takes both coordinates in the first map, though its annotations ask for a second."""

_DAMPING = 0.5
_GENTLE = 0.4
"""Steepest change, in pixels per pixel, up to which the fixed point is reached undamped."""

_CLOSE = 0.01
"""Error, in cells, at which the fixed point is reached."""

_CUBIC_REACH = 2
"""Cells on either side that a cubic resize looks at."""


@frozen
class Box:
    """A rectangle of pixels; `right` and `bottom` are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: NDArray[np.floating], margin: float = 0) -> Self:
        """The least box that holds all points, shape (..., 2), and a margin in pixels."""
        flat = points.reshape(-1, 2)
        low, high = flat.min(axis=0) - margin, flat.max(axis=0) + margin
        return cls(
            math.floor(low[0]), math.floor(low[1]), math.ceil(high[0]) + 1, math.ceil(high[1]) + 1
        )

    @classmethod
    def of(cls, picture: NDArray[np.generic]) -> Self:
        """The whole of a picture, shape (H, W, ...)."""
        return cls(0, 0, picture.shape[1], picture.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def centre(self) -> NDArray[np.float64]:
        """Position of the middle, shape (2,)."""
        return np.array([self.left + self.right - 1, self.top + self.bottom - 1]) / 2

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.width <= 0 or self.height <= 0

    def __and__(self, other: "Box") -> "Box":
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def moved(self, by: NDArray[np.float64], margin: float) -> Self:
        """The least box that holds this one moved, by shape (2,), and a margin, in pixels."""
        corners = np.array([[self.left, self.top], [self.right - 1, self.bottom - 1]])
        return self.around(corners + by, margin)

    def within(self, other: "Box") -> tuple[slice, slice]:
        """Rows and columns of this box in an array that holds the pixels of `other`."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of this box in the whole picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def pixels(self) -> Field:
        """Positions of all pixels, shape (height, width, 2)."""
        x = np.arange(self.left, self.right, dtype=np.float32)
        y = np.arange(self.top, self.bottom, dtype=np.float32)
        return np.stack(np.meshgrid(x, y), axis=-1)


@frozen
class Lattice:
    """A grid of nodes, each at the centre of a square cell of `cell` pixels.

    The lattice may reach beyond the picture.
    """

    left: int
    top: int
    cell: int
    columns: int
    rows: int

    @classmethod
    def covering(cls, box: Box, cell: int) -> Self:
        """The least lattice that covers a box."""
        return cls(box.left, box.top, cell, -(-box.width // cell), -(-box.height // cell))

    @property
    def box(self) -> Box:
        """The pixels covered."""
        right, bottom = self.left + self.columns * self.cell, self.top + self.rows * self.cell
        return Box(self.left, self.top, right, bottom)

    def moved(self, x: int, y: int) -> "Lattice":
        """The same lattice elsewhere, by whole pixels."""
        return Lattice(self.left + x, self.top + y, self.cell, self.columns, self.rows)

    def nodes(self) -> Field:
        """Positions of the nodes in pixels, shape (rows, columns, 2)."""
        centre = (self.cell - 1) / 2
        x = np.arange(self.columns, dtype=np.float32) * self.cell + (self.left + centre)
        y = np.arange(self.rows, dtype=np.float32) * self.cell + (self.top + centre)
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)

    def sample(self, field: Field, points: Field, interpolation: int = cv2.INTER_LINEAR) -> Field:
        """The field at given positions, shape (M, N, 2), between nodes as OpenCV's flag says."""
        centre = (self.cell - 1) / 2
        offset = np.array([self.left + centre, self.top + centre], np.float32)
        return resample(field, (points - offset) * np.float32(1 / self.cell), interpolation)

    def enlarged(self, field: Field, box: Box) -> Field:
        """The field at each pixel of a box inside the lattice's, cubically between nodes."""
        cell, reach = self.cell, _CUBIC_REACH
        first = max((box.left - self.left) // cell - reach, 0)
        last = min(-(-(box.right - self.left) // cell) + reach, self.columns)
        upper = max((box.top - self.top) // cell - reach, 0)
        lower = min(-(-(box.bottom - self.top) // cell) + reach, self.rows)
        size = ((last - first) * cell, (lower - upper) * cell)
        pixels = cv2.resize(field[upper:lower, first:last], size, interpolation=cv2.INTER_CUBIC)
        x, y = box.left - self.left - first * cell, box.top - self.top - upper * cell
        return np.asarray(pixels[y : y + box.height, x : x + box.width], np.float32)


def resample(
    image: NDArray[_Sample],
    positions: Field,
    interpolation: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_REPLICATE,
) -> NDArray[_Sample]:
    """An image at given positions in its own pixels.

    Args:
        image: Shape (H, W) or (H, W, C).
        positions: Shape (M, N, 2).
        interpolation: As OpenCV's flags say.
        border: What lies beyond the image; as it is, its outermost pixels go on for ever.

    Returns:
        Shape (M, N) or (M, N, C), of the image's type.
    """
    found = cv2.remap(image, positions, _NO_MAP, interpolation, borderMode=border)
    return cast("NDArray[_Sample]", found)


def inverse(lattice: Lattice, forward: Field, rounds: int) -> Field:
    """The backward field of a forward field on the same lattice, both (rows, columns, 2).

    It takes as many rounds as it needs, but no more than `rounds`.
    """
    shape = (lattice.rows, lattice.columns)
    columns, rows = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    own = np.stack([columns, rows], axis=-1).astype(np.float32)
    step = forward * np.float32(1 / lattice.cell)
    steepest = max(
        cv2.norm(step[1:], step[:-1], cv2.NORM_INF),
        cv2.norm(step[:, 1:], step[:, :-1], cv2.NORM_INF),
    )
    share = 1.0 if steepest < _GENTLE else _DAMPING
    backward = step.copy()
    positions, found = np.empty_like(own), np.empty_like(own)
    for _ in range(rounds):
        cv2.subtract(own, backward, dst=positions)
        cv2.remap(
            step, positions, _NO_MAP, cv2.INTER_LINEAR, found, borderMode=cv2.BORDER_REPLICATE
        )
        error = cv2.norm(found, backward, cv2.NORM_INF)
        cv2.addWeighted(backward, 1 - share, found, share, 0, dst=backward)
        if error < _CLOSE:
            break
    return backward * np.float32(lattice.cell)


def smoothstep(value: NDArray[_Float]) -> NDArray[_Float]:
    """0 up to 0, 1 from 1 on, and between them a slope that begins and ends flat."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)

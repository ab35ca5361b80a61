"""Displacement fields on lattices, and resampling of pictures.

Theory of operation
-------------------
A *forward* field gives the displacement of each point of the photo: ``p -> p + d(p)``. Rendering
needs the inverse, a *backward* field, which gives the source of each pixel of the result:
``q -> q - b(q)``. They are related by ``b(q) = d(q - b(q))``, which `inverse` solves by fixed-point
iteration. For steep fields the iteration is damped: it then converges if the field does not fold
(``d`` falls by less than one pixel per pixel) and rises by less than three pixels per pixel;
undamped, it diverges from a rise of one. Flat fields converge undamped, in fewer iterations.

Faces move smoothly, so fields are stored on a coarse `Lattice`, whose nodes are the centres of
square cells. Enlarging a field to pixels is then a resize by the cell's side. Fields are composed
on the lattice where they are smooth, and at pixels only around lips and eyelids.

The photo is resampled once, through the sum of all fields, since each pass costs sharpness. Cubic
sampling reads 16 pixels for every pixel of every frame. `UpsampledPhoto` therefore interpolates
cubically once, at the points midway between pixels, and frames are sampled from that linearly.
Linear sampling at twice the resolution loses little, and the kernel is sharper than OpenCV's cubic
kernel to make up for it. Pixels that do not move are equal to the photo's.
"""

import math
from typing import Any, Self, TypeAlias, TypeVar, cast

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Array

Field: TypeAlias = NDArray[np.float32]
"""Displacements or positions in pixels, shape (..., 2), x before y."""

_Sample = TypeVar("_Sample", np.uint8, np.float32)

_Float = TypeVar("_Float", np.float32, np.float64)

_NO_MAP: Any = None
"""OpenCV accepts both coordinates in the first map, but its annotations require a second one."""

_DAMPING = 0.5
_MAX_UNDAMPED_SLOPE = 0.4
"""Steepest change, in pixels per pixel, up to which the iteration is not damped."""

_TOLERANCE = 0.01
"""Error, in cells, at which the iteration ends."""

_SHARPNESS = 1.4
"""Minus the slope of the upsampling kernel one pixel off; 0.75 is OpenCV's cubic kernel."""

_MIDWAY = np.array([-_SHARPNESS, 4 + _SHARPNESS, 4 + _SHARPNESS, -_SHARPNESS]) / 8
"""Weights of four pixels for the point in the middle of them."""

_CUBIC_MARGIN = 2
"""Number of cells on either side that a cubic resize reads."""


@frozen
class Box:
    """A rectangle of pixels; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: NDArray[np.floating], margin: float = 0) -> Self:
        """Return the smallest box with all points, shape (..., 2), and a margin in pixels."""
        flat = points.reshape(-1, 2)
        low, high = flat.min(axis=0) - margin, flat.max(axis=0) + margin
        return cls(
            math.floor(low[0]), math.floor(low[1]), math.ceil(high[0]) + 1, math.ceil(high[1]) + 1
        )

    @classmethod
    def of(cls, picture: NDArray[np.generic]) -> Self:
        """Return the box of a whole picture, shape (H, W, ...)."""
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
    def centre(self) -> Array:
        """Position of the centre, shape (2,)."""
        return np.array([self.left + self.right - 1, self.top + self.bottom - 1]) / 2

    @property
    def empty(self) -> bool:
        """Whether the box has no pixels."""
        return self.width <= 0 or self.height <= 0

    def __and__(self, other: "Box") -> "Box":
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def moved(self, by: Array, margin: float) -> Self:
        """Return the smallest box with this one, moved by shape (2,), and a margin, in pixels."""
        corners = np.array([[self.left, self.top], [self.right - 1, self.bottom - 1]])
        return self.around(corners + by, margin)

    def within(self, other: "Box") -> tuple[slice, slice]:
        """Return rows and columns of this box in an array with the pixels of `other`."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the box in the whole picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def pixels(self) -> Field:
        """Return the positions of all pixels, shape (height, width, 2)."""
        x = np.arange(self.left, self.right, dtype=np.float32)
        y = np.arange(self.top, self.bottom, dtype=np.float32)
        return np.stack(np.meshgrid(x, y), axis=-1)


@frozen
class Lattice:
    """A grid of nodes at the centres of square cells of `cell` pixels.

    It may extend beyond the picture.
    """

    left: int
    top: int
    cell: int
    columns: int
    rows: int

    @classmethod
    def covering(cls, box: Box, cell: int) -> Self:
        """Return the smallest lattice that covers a box."""
        return cls(box.left, box.top, cell, -(-box.width // cell), -(-box.height // cell))

    @property
    def box(self) -> Box:
        """The pixels that it covers."""
        right, bottom = self.left + self.columns * self.cell, self.top + self.rows * self.cell
        return Box(self.left, self.top, right, bottom)

    def moved(self, x: int, y: int) -> "Lattice":
        """Return the lattice moved by whole pixels."""
        return Lattice(self.left + x, self.top + y, self.cell, self.columns, self.rows)

    def nodes(self) -> Field:
        """Return the positions of the nodes in pixels, shape (rows, columns, 2)."""
        centre = (self.cell - 1) / 2
        x = np.arange(self.columns, dtype=np.float32) * self.cell + (self.left + centre)
        y = np.arange(self.rows, dtype=np.float32) * self.cell + (self.top + centre)
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)

    def sample(self, field: Field, points: Field, interpolation: int = cv2.INTER_LINEAR) -> Field:
        """Interpolate a field at positions, shape (M, N, 2), with a flag of OpenCV."""
        centre = (self.cell - 1) / 2
        origin = self.left + centre, self.top + centre
        return resample(field, relative(points, origin, 1 / self.cell), interpolation)

    def enlarged(self, field: Field, box: Box) -> Field:
        """Interpolate a field cubically at each pixel of a box inside the lattice's box."""
        cell, reach = self.cell, _CUBIC_MARGIN
        first = max((box.left - self.left) // cell - reach, 0)
        last = min(-(-(box.right - self.left) // cell) + reach, self.columns)
        upper = max((box.top - self.top) // cell - reach, 0)
        lower = min(-(-(box.bottom - self.top) // cell) + reach, self.rows)
        size = ((last - first) * cell, (lower - upper) * cell)
        pixels = cv2.resize(field[upper:lower, first:last], size, interpolation=cv2.INTER_CUBIC)
        x, y = box.left - self.left - first * cell, box.top - self.top - upper * cell
        return np.asarray(pixels[y : y + box.height, x : x + box.width], np.float32)


def relative(positions: Field, origin: tuple[float, float], scale: float = 1) -> Field:
    """Return positions, shape (M, N, 2), from an origin, times a scale.

    Much quicker than NumPy, which is slow at broadcasting over an axis of length 2.
    """
    x, y = origin
    to_origin = np.array([[scale, 0, -scale * x], [0, scale, -scale * y]])
    return np.asarray(cv2.transform(positions, to_origin), np.float32)


def resample(
    image: NDArray[_Sample],
    positions: Field,
    interpolation: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_REPLICATE,
) -> NDArray[_Sample]:
    """Sample an image at positions in its pixels.

    Args:
        image: Shape (H, W) or (H, W, C).
        positions: Shape (M, N, 2).
        interpolation: An interpolation flag of OpenCV.
        border: A border flag of OpenCV; by default, the outermost pixels are repeated.

    Returns:
        Shape (M, N) or (M, N, C), of the image's type.
    """
    found = cv2.remap(image, positions, _NO_MAP, interpolation, borderMode=border)
    return cast("NDArray[_Sample]", found)


def inverse(lattice: Lattice, forward: Field, rounds: int) -> Field:
    """Return the backward field of a forward field, both of shape (rows, columns, 2).

    Args:
        lattice: The lattice of both fields.
        forward: Displacements in pixels.
        rounds: Maximum number of iterations.
    """
    shape = (lattice.rows, lattice.columns)
    columns, rows = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    identity = np.stack([columns, rows], axis=-1).astype(np.float32)
    step = forward * np.float32(1 / lattice.cell)
    steepest = max(
        cv2.norm(step[1:], step[:-1], cv2.NORM_INF),
        cv2.norm(step[:, 1:], step[:, :-1], cv2.NORM_INF),
    )
    share = 1.0 if steepest < _MAX_UNDAMPED_SLOPE else _DAMPING
    backward = step.copy()
    positions, found = np.empty_like(identity), np.empty_like(identity)
    for _ in range(rounds):
        cv2.subtract(identity, backward, dst=positions)
        cv2.remap(
            step, positions, _NO_MAP, cv2.INTER_LINEAR, found, borderMode=cv2.BORDER_REPLICATE
        )
        error = cv2.norm(found, backward, cv2.NORM_INF)
        cv2.addWeighted(backward, 1 - share, found, share, 0, dst=backward)
        if error < _TOLERANCE:
            break
    return backward * np.float32(lattice.cell)


def smoothstep(value: NDArray[_Float]) -> NDArray[_Float]:
    """Return 0 up to 0, 1 from 1 on, and a smooth transition between them."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def smooth_ramp(value: float) -> float:
    """Return `smoothstep` of a number."""
    return float(smoothstep(np.array(value)))


@frozen(eq=False)
class UpsampledPhoto:
    """A photo at twice its resolution, from which frames are sampled; see the module."""

    _pixels: NDArray[np.uint8]

    @classmethod
    def of(cls, photo: NDArray[np.uint8]) -> Self:
        """Upsample a photo, or a layer of one, shape (H, W, C)."""
        height, width, channels = photo.shape
        pixels = np.empty((2 * height - 1, 2 * width - 1, channels), np.uint8)
        across = _midpoints(photo, _MIDWAY[None])[:, :-1]
        pixels[::2, ::2], pixels[::2, 1::2] = photo, across
        pixels[1::2] = _midpoints(np.ascontiguousarray(pixels[::2]), _MIDWAY[:, None])[:-1]
        return cls(pixels)

    def sample(self, positions: Field, origin: tuple[float, float] = (0, 0)) -> NDArray[np.uint8]:
        """Sample at positions, shape (M, N, 2); edge pixels are repeated.

        Args:
            positions: In pixels.
            origin: The position of the photo's first pixel.
        """
        return resample(self._pixels, relative(positions, origin, 2))


def _midpoints(picture: NDArray[np.uint8], kernel: Array) -> NDArray[np.uint8]:
    """Interpolate midway between each pixel and the next one, along the kernel."""
    anchor = (min(kernel.shape[1] - 1, 1), min(kernel.shape[0] - 1, 1))
    found = cv2.filter2D(picture, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.uint8)

"""Face coordinates: the mapping between pixels and positions on a face.

Theory of operation
-------------------
The 478 landmarks have a depth, so they form a face in space. Its coordinate system has three axes:
x from the eye on the picture's left to the other one, y down the face, z away from the camera. The
unit of length is **u**, the distance between the outer corners of the eyes; the origin is midway
between them. Blendshapes are defined in these coordinates, once for all faces.

Pixels are mapped to face coordinates by a quadratic map, fitted to the landmarks by least squares.
Its linear part undoes scale, roll and the foreshortening of a turned head, its quadratic part the
curvature of the face. Outside the face, the map continues linearly.
"""

from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.warp import Field

_REACH = 1.3
"""Distance from the face's centre, in u, beyond which the quadratic map continues linearly."""


@frozen(eq=False)
class FaceCoordinates:
    """The coordinate system of one face.

    Attributes:
        unit: u in pixels.
        axes: Shape (3, 3); the columns are the axes x, y, z in picture coordinates.
        local: Landmarks in face coordinates, shape (478, 3), in u.
    """

    unit: float
    axes: Array
    local: Array
    _middle: Array
    _quadratic: Array

    @classmethod
    def of(cls, landmarks: Array) -> Self:
        """Return the coordinates of a face with these landmarks, shape (478, 3), in pixels."""
        left, right = landmarks[lm.EYE_LEFT_OUTER], landmarks[lm.EYE_RIGHT_OUTER]
        across = right - left + (landmarks[lm.SIDE_RIGHT] - landmarks[lm.SIDE_LEFT]) / 2
        x = across / np.linalg.norm(across)
        down = landmarks[lm.CHIN] - landmarks[lm.FOREHEAD]
        down = down - x * (x @ down)
        y = down / np.linalg.norm(down)
        axes = np.stack([x, y, np.cross(x, y)], axis=1)
        unit = float(np.linalg.norm(right - left))
        local = (landmarks - (left + right) / 2) @ axes / unit
        mesh = landmarks[: lm.MESH_COUNT, :2]
        middle = mesh.mean(axis=0)
        terms = _quadratic_terms((mesh - middle) / unit)
        quadratic = np.linalg.lstsq(terms, local[: lm.MESH_COUNT, :2], rcond=None)[0]
        return cls(unit, axes, local, middle, quadratic)

    @property
    def roll(self) -> float:
        """Angle of the x axis in the picture, in radians, clockwise."""
        return float(np.arctan2(self.axes[1, 0], self.axes[0, 0]))

    def locate(self, pixels: NDArray[np.floating]) -> Array:
        """Map pixels, shape (..., 2), to face coordinates, shape (..., 2), in u."""
        terms = _quadratic_terms((pixels.reshape(-1, 2) - self._middle) / self.unit)
        return np.asarray((terms @ self._quadratic).reshape(pixels.shape))

    def project(self, displacement: Array) -> Field:
        """Project displacements on the face, shape (..., 3), in u, to pixels, shape (..., 2)."""
        return (displacement @ self.axes.T[:, :2] * self.unit).astype(np.float32)


def _quadratic_terms(points: Array) -> Array:
    x, y = points.T
    near_x, near_y = np.clip(points, -_REACH, _REACH).T
    squares = near_x * (2 * x - near_x), near_y * (2 * y - near_y)
    product = near_x * y + near_y * x - near_x * near_y
    return np.stack([np.ones_like(x), x, y, squares[0], product, squares[1]], axis=1)

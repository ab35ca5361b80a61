"""The face's own coordinates: where on a face a pixel lies, and how a face's motion looks.

Theory of operation
-------------------
The 478 landmarks come with a depth, so they span a face in space. Its *frame* is three axes, in
the units of the picture: x from the picture's left eye to the right one, y down the face, z away
from the camera; the unit of length is **u**, the distance of the outer corners of the eyes, and
the origin lies midway between them. Shapes are defined in this frame, once for all faces.

Between pixels and the frame stands a quadratic map, fitted to the landmarks by least squares: its
linear part undoes scale, roll and the foreshortening of a turned head, its quadratic part what
the roundness of the face adds. Outside the face it is held at its value on the rim.
"""

from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.warp import Field

_REACH = 1.3
"""Distance from the middle of the face, in u, beyond which the quadratic map stays constant."""


@frozen(eq=False)
class FaceFrame:
    """A face's frame.

    Attributes:
        unit: u in pixels.
        axes: Shape (3, 3); the columns are the axes x, y, z in picture coordinates.
        local: Landmarks in the frame, shape (478, 3), in u.
    """

    unit: float
    axes: NDArray[np.float64]
    local: NDArray[np.float64]
    _middle: NDArray[np.float64]
    _quadratic: NDArray[np.float64]

    @classmethod
    def of(cls, landmarks: NDArray[np.float64]) -> Self:
        """The frame of a face with the given landmarks, shape (478, 3), in pixels."""
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

    def locate(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where in the frame pixels lie: (..., 2) in pixels to (..., 2) in u."""
        terms = _quadratic_terms((pixels.reshape(-1, 2) - self._middle) / self.unit)
        return np.asarray((terms @ self._quadratic).reshape(pixels.shape))

    def project(self, displacement: NDArray[np.float64]) -> Field:
        """How a displacement in the frame looks: (..., 3) in u to (..., 2) in pixels."""
        return (displacement @ self.axes.T[:, :2] * self.unit).astype(np.float32)


def _quadratic_terms(points: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = np.clip(points, -_REACH, _REACH).T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)

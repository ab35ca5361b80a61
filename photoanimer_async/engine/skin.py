"""The skin of one face: the blendshapes on a lattice, forwards and back.

The lattice covers the face and some of what is around it. On its border every shape has faded to
0, so that nothing shows where it ends.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.fields import Lip
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.shapes import SKIN, Shapes
from photoanimer_async.engine.warp import Box, Field, Lattice, inverse, smoothstep

_CELL = 1 / 24
"""Side of a cell of the lattice, in u."""

_UNDER_GLASSES = ("brow", "cheek", "noseSneer")
"""How the names of shapes begin that move what lies under the rims of glasses."""

_STIFFNESS = 0.7
"""Part of their strength that they lose there."""

_ROUNDS = 24

_MARGIN = 0.40
"""How far the lattice reaches beyond the mesh, in u; below the chin twice as far."""

_RIM = 0.30
"""Width, in u, over which the shapes fade towards the lattice's border."""


@frozen(eq=False)
class Skin:
    """A face's skin; see the module.

    Attributes:
        lattice: Where the fields lie, before the head's turn.
    """

    lattice: Lattice
    _centre: NDArray[np.float64]
    _fields: Mapping[Lip, NDArray[np.float32]]  # each (len(SKIN), rows * columns * 2)
    _tearing: NDArray[np.bool_]  # which shapes move the two sides apart, (len(SKIN),)

    @classmethod
    def of(
        cls,
        landmarks: NDArray[np.float64],
        frame: FaceFrame,
        shapes: Shapes,
        glasses: float = 0.0,
    ) -> Self:
        """The skin of a face.

        Args:
            landmarks: Shape (478, 3).
            frame: The face's frame.
            shapes: Its shapes.
            glasses: How surely it wears glasses, 0 to 1: what would bend them moves less.
        """
        mesh = landmarks[: lm.MESH_COUNT, :2]
        margin = _MARGIN * frame.unit
        below_chin = mesh + frame.axes[:2, 1] * margin
        box = Box.around(np.concatenate([mesh, below_chin]), margin)
        lattice = Lattice.covering(box, max(2, round(_CELL * frame.unit)))
        points = frame.locate(lattice.nodes()).reshape(-1, 2)
        rim = _rim(lattice, frame.unit)
        stiff = np.array([name.startswith(_UNDER_GLASSES) for name in SKIN])
        ease = (1 - glasses * _STIFFNESS * stiff).astype(np.float32)[:, None, None]
        fields = {
            lip: (frame.project(shapes.fields(points, lip)) * rim * ease).reshape(len(SKIN), -1)
            for lip in Lip
        }
        tearing = (fields[Lip.UPPER] != fields[Lip.LOWER]).any(axis=1)
        return cls(lattice, mesh.mean(axis=0), fields, tearing)

    def posed(self, coefficients: NDArray[np.float32]) -> "SkinPose":
        """The skin under the coefficients of `SKIN`."""
        torn = bool(coefficients[self._tearing].any())
        forward = {Lip.UPPER: self._forward(coefficients, Lip.UPPER)}
        backward = {Lip.UPPER: inverse(self.lattice, forward[Lip.UPPER], _ROUNDS)}
        if torn:
            forward[Lip.LOWER] = self._forward(coefficients, Lip.LOWER)
            backward[Lip.LOWER] = inverse(self.lattice, forward[Lip.LOWER], _ROUNDS)
        else:
            forward[Lip.LOWER], backward[Lip.LOWER] = forward[Lip.UPPER], backward[Lip.UPPER]
        return SkinPose(self.lattice, self._centre, torn, forward, backward)

    def _forward(self, coefficients: NDArray[np.float32], lip: Lip) -> Field:
        field = coefficients @ self._fields[lip]
        return np.asarray(field.reshape(self.lattice.rows, self.lattice.columns, 2))


@frozen(eq=False)
class SkinPose:
    """The skin at one moment.

    Attributes:
        lattice: Where its fields lie.
        centre: The middle of the face, shape (2,), in pixels.
        torn: Whether the two sides of the lips move apart.
    """

    lattice: Lattice
    centre: NDArray[np.float64]
    torn: bool
    _forward: Mapping[Lip, Field]
    _backward: Mapping[Lip, Field]

    def sample(self, lip: Lip, points: Field) -> Field:
        """The backward field of one side of the lips at points of shape (M, N, 2)."""
        return self.lattice.sample(self._backward[lip], points)

    def moved(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much a point of the photo above the lips, shape (2,), moves."""
        place = point.astype(np.float32).reshape(1, 1, 2)
        moved = self.lattice.sample(self._forward[Lip.UPPER], place)
        return moved.reshape(2).astype(np.float64)


def _rim(lattice: Lattice, unit: float) -> NDArray[np.float32]:
    """Weight of the shapes: 0 on the lattice's border, 1 inside; (rows * columns, 1)."""
    steps = _RIM * unit / lattice.cell
    across, down = (
        np.minimum(np.arange(count), np.arange(count)[::-1]) / steps
        for count in (lattice.columns, lattice.rows)
    )
    weight = smoothstep(across)[None] * smoothstep(down)[:, None]
    return weight.reshape(-1, 1).astype(np.float32)

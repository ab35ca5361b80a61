"""The skin of one face: the blendshapes on a lattice, as forward and backward fields.

The lattice covers the face and a margin around it. All blendshapes fade to 0 at its border, so
that no edge is visible there.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import SKIN, Blendshapes
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.warp import Box, Field, Lattice, inverse, smoothstep

_CELL = 1 / 24
"""Side of a cell of the lattice, in u."""

_UNDER_GLASSES = ("brow", "cheek", "noseSneer")
"""Prefixes of the blendshapes that move skin under the rims of glasses."""

_STIFFNESS = 0.7
"""How much weaker they are if the face wears glasses."""

_INVERSION_ROUNDS = 24

_MARGIN = 0.40
"""Margin of the lattice around the mesh, in u; twice as much below the chin."""

_FADE = 0.30
"""Width, in u, over which the blendshapes fade to 0 at the lattice's border."""


@frozen(eq=False)
class Skin:
    """The skin of one face.

    Attributes:
        lattice: The lattice of its fields, on the unturned head.
    """

    lattice: Lattice
    _centre: Array
    _fields: Mapping[Lip, Floats]  # each (len(SKIN), rows * columns * 2)
    _tearing: NDArray[np.bool_]  # which blendshapes part the lips, (len(SKIN),)

    @classmethod
    def of(
        cls,
        landmarks: Array,
        coordinates: FaceCoordinates,
        blendshapes: Blendshapes,
        glasses: float = 0.0,
    ) -> Self:
        """Prepare the skin of a face.

        Args:
            landmarks: Shape (478, 3).
            coordinates: The face's coordinates.
            blendshapes: Its blendshapes.
            glasses: Confidence that it wears glasses, 0 to 1: skin under their rims moves less.
        """
        mesh = landmarks[: lm.MESH_COUNT, :2]
        margin = _MARGIN * coordinates.unit
        below_chin = mesh + coordinates.axes[:2, 1] * margin
        box = Box.around(np.concatenate([mesh, below_chin]), margin)
        lattice = Lattice.covering(box, max(2, round(_CELL * coordinates.unit)))
        points = coordinates.locate(lattice.nodes()).reshape(-1, 2)
        fade = _border_fade(lattice, coordinates.unit)
        stiff = np.array([name.startswith(_UNDER_GLASSES) for name in SKIN])
        ease = (1 - glasses * _STIFFNESS * stiff).astype(np.float32)[:, None, None]
        fields = {
            lip: (coordinates.project(blendshapes.fields(points, lip)) * fade * ease).reshape(
                len(SKIN), -1
            )
            for lip in Lip
        }
        tearing = (fields[Lip.UPPER] != fields[Lip.LOWER]).any(axis=1)
        return cls(lattice, mesh.mean(axis=0), fields, tearing)

    def pose(self, coefficients: Floats) -> "SkinPose":
        """Return the skin with these coefficients of `SKIN`."""
        torn = bool(coefficients[self._tearing].any())
        forward = {Lip.UPPER: self._forward(coefficients, Lip.UPPER)}
        backward = {Lip.UPPER: inverse(self.lattice, forward[Lip.UPPER], _INVERSION_ROUNDS)}
        if torn:
            forward[Lip.LOWER] = self._forward(coefficients, Lip.LOWER)
            backward[Lip.LOWER] = inverse(self.lattice, forward[Lip.LOWER], _INVERSION_ROUNDS)
        else:
            forward[Lip.LOWER], backward[Lip.LOWER] = forward[Lip.UPPER], backward[Lip.UPPER]
        return SkinPose(self.lattice, self._centre, torn, forward, backward)

    def _forward(self, coefficients: Floats, lip: Lip) -> Field:
        field = coefficients @ self._fields[lip]
        return np.asarray(field.reshape(self.lattice.rows, self.lattice.columns, 2))


@frozen(eq=False)
class SkinPose:
    """The skin at given coefficients.

    Attributes:
        lattice: The lattice of its fields.
        centre: The centre of the face, shape (2,), in pixels.
        torn: Whether the fields of the two sides of the lips differ.
    """

    lattice: Lattice
    centre: Array
    torn: bool
    _forward: Mapping[Lip, Field]
    _backward: Mapping[Lip, Field]

    def sample(self, lip: Lip, points: Field) -> Field:
        """Sample the backward field of one side of the lips at points, shape (M, N, 2)."""
        return self.lattice.sample(self._backward[lip], points)

    def displacement(self, point: Array) -> Array:
        """Return the displacement of a point of the photo above the lips, shape (2,)."""
        place = point.astype(np.float32).reshape(1, 1, 2)
        moved = self.lattice.sample(self._forward[Lip.UPPER], place)
        return moved.reshape(2).astype(np.float64)


def _border_fade(lattice: Lattice, unit: float) -> Floats:
    """Return the blendshapes' weight: 0 at the border, 1 inside; (rows * columns, 1)."""
    steps = _FADE * unit / lattice.cell
    across, down = (
        np.minimum(np.arange(count), np.arange(count)[::-1]) / steps
        for count in (lattice.columns, lattice.rows)
    )
    weight = smoothstep(across)[None] * smoothstep(down)[:, None]
    return weight.reshape(-1, 1).astype(np.float32)

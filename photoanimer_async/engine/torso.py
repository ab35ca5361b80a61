"""The torso and the hair: what moves with the head, on the same lattice.

Theory of operation
-------------------
The torso leans about a point below the picture or the region, and rises with breath: most at the
shoulders, not at all at the foot. It carries the head: its displacement is added to the head's.

Loose hair is beside face and neck. It lags behind the head by a displacement of its own, which
grows from the temples down to its ends.
"""

from typing import Self

import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.person_mask import Region
from photoanimer_async.engine.warp import Field, smoothstep

_LEAST_HEIGHT = 1.6
"""Least distance from the chin to the point about which the torso leans, in heights of the face."""

_SHOULDERS = 0.5
"""Distance from the chin to the shoulders, in heights of the face."""


@frozen(eq=False)
class Torso:
    """The motion of torso and hair, as displacements of a lattice's nodes at coefficients of 1."""

    _lean: Field
    _rise: Field
    _sway: Field

    @classmethod
    def of(cls, region: Region, ellipse: HeadEllipse, unit: float, nodes: Field) -> Self:
        """Prepare a torso.

        Args:
            region: Where the person is animated.
            ellipse: The outline of the head.
            unit: u in pixels.
            nodes: Positions of the nodes, shape (rows, columns, 2).
        """
        down = region.down
        right = np.array([down[1], -down[0]])
        height = ellipse.face_height
        chin = 0.5 * height
        across, below = (nodes - ellipse.centre) @ right, (nodes - ellipse.centre) @ down
        foot = max(region.foot(ellipse.centre), chin + _LEAST_HEIGHT * height)
        above_foot = np.maximum(foot - below, 0)
        turned = above_foot[..., None] * right + across[..., None] * down
        lean = np.radians(turned)
        risen = smoothstep(above_foot / (foot - chin - _SHOULDERS * height))
        rise = risen[..., None] * -down * unit
        sway = _looseness(ellipse, nodes)[..., None] * right * unit
        return cls(*(part.astype(np.float32) for part in (lean, rise, sway)))

    def displacement(self, motion: FaceMotion) -> Field:
        """Return the displacement of each node, shape (rows, columns, 2), in pixels."""
        lean, rise, sway = (
            np.float32(motion.get(name, 0.0)) for name in ("torsoLean", "torsoRise", "hairSway")
        )
        moved = self._lean * lean + self._rise * rise + self._sway * sway
        return np.asarray(moved, np.float32)


def _looseness(ellipse: HeadEllipse, nodes: Field) -> Array:
    """Return how freely hair can move at each node, 0 to 1."""
    across, below = ellipse.axes_of(nodes)
    outside = smoothstep((np.abs(across) / ellipse.wide - 0.75) / 0.35)
    hanging = smoothstep((below / ellipse.face_height + 0.45) / 0.9)
    ends = 1 - smoothstep((below / ellipse.face_height - 0.75) / 0.5)
    beside = 1 - smoothstep((np.abs(across) / ellipse.wide - 1.4) / 0.6)
    return np.asarray(outside * hanging * ends * beside, np.float64)

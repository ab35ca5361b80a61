"""Blendshapes: how each part of the face moves, as analytic displacement fields.

Theory of operation
-------------------
Every blendshape is a smooth function on the plane of the face; `blendshape_fields` defines them.
(Interpolation between moved landmarks would leave spikes where landmarks are dense.) A blendshape
with coefficient c displaces a point by c times its field; blendshapes add up.

The face is discontinuous only between the lips. Each field therefore exists twice, for the side of
the upper and of the lower lip. The two are equal away from the mouth; the renderer selects one by
the line between the lips.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self, TypeAlias

import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshape_fields import FIELDS, FaceShape, Lip

FaceMotion: TypeAlias = Mapping[str, float]
"""Coefficients by name; a missing one is 0. If all are 0, the frame is the photo itself."""

SKIN: Mapping[str, str] = MappingProxyType(
    {
        "jawOpen": "the jaw drops; 0 to 1",
        "mouthUpperUp": "the upper lip rises; 0 to 1",
        "mouthLowerDown": "the lower lip sinks; 0 to 1",
        "mouthPucker": "the lips form a kiss; 0 to 1",
        "mouthClose": "lips that are open in the photo close; 0 to 1",
        "noseSneer": "the nose wrinkles; 0 to 1",
        "mouthSmileLeft": "the left corner of the mouth rises; 0 to 1",
        "mouthSmileRight": "the right corner of the mouth rises; 0 to 1",
        "mouthFrownLeft": "the left corner of the mouth sinks; 0 to 1",
        "mouthFrownRight": "the right corner of the mouth sinks; 0 to 1",
        "mouthNarrowLeft": "the left corner moves inwards, below 0 outwards; -0.5 to 1",
        "mouthNarrowRight": "the right corner moves inwards, below 0 outwards; -0.5 to 1",
        "cheekSquintLeft": "the left cheek rises; 0 to 1",
        "cheekSquintRight": "the right cheek rises; 0 to 1",
        "browUpLeft": "the whole left brow rises; 0 to 1",
        "browUpRight": "the whole right brow rises; 0 to 1",
        "browInnerUpLeft": "the inner end of the left brow rises; 0 to 1",
        "browInnerUpRight": "the inner end of the right brow rises; 0 to 1",
        "browDownLeft": "the left brow moves down and inwards; 0 to 1",
        "browDownRight": "the right brow moves down and inwards; 0 to 1",
    }
)
"""Coefficients of the skin; each has a field. **Left and right are the picture's sides.**"""

EYES: Mapping[str, str] = MappingProxyType(
    {
        "eyeBlinkLeft": "the left eye closes; 0 to 1, below 0 (to -0.3) it opens wide",
        "eyeBlinkRight": "the right eye closes; 0 to 1, below 0 (to -0.3) it opens wide",
        "eyeSquintLeft": "the left lower lid rises; 0 to 1",
        "eyeSquintRight": "the right lower lid rises; 0 to 1",
        "gazeX": "both irises move to the picture's right; -1 to 1, in radii of the iris",
        "gazeY": "both irises move down; -1 to 1, in radii of the iris",
    }
)
"""Coefficients of the eyes."""

HEAD: Mapping[str, str] = MappingProxyType(
    {
        "headYaw": "the face turns to the picture's right; degrees, -15 to 15",
        "headPitch": "the face nods down; degrees, -10 to 10",
        "headRoll": "the head tilts clockwise; degrees, -6 to 6",
        "headX": "the head moves to the right; in u, -0.15 to 0.15",
        "headY": "the head moves down; in u, -0.15 to 0.15",
        "headZoom": "the head comes nearer; relative to its size, -0.05 to 0.08",
    }
)
"""Coefficients of the whole head; u is the distance between the outer corners of the eyes."""

BODY: Mapping[str, str] = MappingProxyType(
    {
        "torsoLean": "the torso leans clockwise, with the head on it; degrees, -4 to 4",
        "torsoRise": "shoulders and head rise with breath; in u, -0.05 to 0.05",
        "hairSway": "loose hair lags behind to the right; in u, -0.06 to 0.06",
    }
)
"""Coefficients of the body. They have no effect if the engine cannot tell the person from the
background."""

NAMES: Mapping[str, str] = MappingProxyType({**SKIN, **EYES, **HEAD, **BODY})
"""All coefficients of a motion, with meaning and range."""


@frozen(eq=False)
class Blendshapes:
    """The blendshapes of `SKIN`, fitted to one face."""

    _face: FaceShape

    @classmethod
    def of(cls, local: Array) -> Self:
        """Return the blendshapes of a face.

        Args:
            local: Its landmarks in face coordinates, shape (478, 3), in u.
        """
        return cls(FaceShape.of(local))

    def fields(self, points: Array, lip: Lip) -> Array:
        """Return the displacement by every blendshape at coefficient 1.

        Args:
            points: Positions in face coordinates, shape (N, 2), in u.
            lip: The side of the lips.

        Returns:
            Shape (len(SKIN), N, 3), in u, in the order of `SKIN`.
        """
        x, y = points.T
        return np.stack([FIELDS[name](self._face, x, y, lip) for name in SKIN])


def skin_coefficients(motion: FaceMotion) -> Floats:
    """Return the coefficients of `SKIN` in a motion, shape (len(SKIN),)."""
    return np.array([motion.get(name, 0.0) for name in SKIN], np.float32)

"""Blendshapes: how each part of the face moves, as analytic displacement fields.

Theory of operation
-------------------
Every shape is a smooth function on the plane of the face (`fields` holds them all). Interpolating
between moved landmarks instead would leave spikes where landmarks crowd. A shape at coefficient c
displaces a point by c times its field; shapes add up.

Lips are the one place where the face tears. So each field exists twice: as the upper lip's side
has it and as the lower lip's side has it. The two agree away from the mouth, and whoever draws
takes one or the other by the line between the lips.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.fields import FIELDS, FaceShape, Lip

FaceMotion: TypeAlias = Mapping[str, float]
"""Coefficients by name; a name that is missing is 0, and 0 everywhere is the photo itself."""

SKIN: Mapping[str, str] = MappingProxyType(
    {
        "jawOpen": "the jaw drops; 0 to 1",
        "mouthUpperUp": "the upper lip rises; 0 to 1",
        "mouthLowerDown": "the lower lip sinks; 0 to 1",
        "mouthPucker": "the lips round, as for a kiss; 0 to 1",
        "mouthClose": "lips that are apart in the photo meet; 0 to 1",
        "noseSneer": "the nose wrinkles; 0 to 1",
        "mouthSmileLeft": "the left corner of the mouth rises; 0 to 1",
        "mouthSmileRight": "the right corner of the mouth rises; 0 to 1",
        "mouthFrownLeft": "the left corner of the mouth sinks; 0 to 1",
        "mouthFrownRight": "the right corner of the mouth sinks; 0 to 1",
        "mouthNarrowLeft": "the left corner goes inwards, below 0 outwards; -0.5 to 1",
        "mouthNarrowRight": "the right corner goes inwards, below 0 outwards; -0.5 to 1",
        "cheekSquintLeft": "the left cheek rises; 0 to 1",
        "cheekSquintRight": "the right cheek rises; 0 to 1",
        "browUpLeft": "the whole left brow rises; 0 to 1",
        "browUpRight": "the whole right brow rises; 0 to 1",
        "browInnerUpLeft": "the inner end of the left brow rises; 0 to 1",
        "browInnerUpRight": "the inner end of the right brow rises; 0 to 1",
        "browDownLeft": "the left brow sinks and comes inwards; 0 to 1",
        "browDownRight": "the right brow sinks and comes inwards; 0 to 1",
    }
)
"""What moves the skin; each has a field. **Left and right are the picture's sides.**"""

EYES: Mapping[str, str] = MappingProxyType(
    {
        "eyeBlinkLeft": "the left eye closes; 0 to 1, below 0 (to -0.3) it opens wide",
        "eyeBlinkRight": "the right eye closes; 0 to 1, below 0 (to -0.3) it opens wide",
        "eyeSquintLeft": "the left lower lid rises; 0 to 1",
        "eyeSquintRight": "the right lower lid rises; 0 to 1",
        "gazeX": "both irises go to the picture's right; -1 to 1, in radii of the iris",
        "gazeY": "both irises go down; -1 to 1, in radii of the iris",
    }
)
"""What happens within the eyes."""

HEAD: Mapping[str, str] = MappingProxyType(
    {
        "headYaw": "the face turns to the picture's right; degrees, -15 to 15",
        "headPitch": "the face nods down; degrees, -10 to 10",
        "headRoll": "the head tilts clockwise; degrees, -5 to 5",
        "headX": "the head moves to the right; in u, -0.15 to 0.15",
        "headY": "the head moves down; in u, -0.15 to 0.15",
        "headZoom": "the head comes nearer; part of its size, -0.05 to 0.08",
    }
)
"""What moves the head as a whole."""

NAMES: Mapping[str, str] = MappingProxyType({**SKIN, **EYES, **HEAD})
"""Every coefficient that a motion may hold, with its meaning and range."""


@frozen(eq=False)
class Shapes:
    """The shapes of `SKIN`, fitted to one face."""

    _face: FaceShape

    @classmethod
    def of(cls, local: NDArray[np.float64]) -> Self:
        """The shapes of a face whose landmarks in the frame are given, shape (478, 3)."""
        return cls(FaceShape.of(local))

    def fields(self, points: NDArray[np.float64], lip: Lip) -> NDArray[np.float64]:
        """Every shape's displacement at coefficient 1.

        Args:
            points: Positions in the frame, shape (N, 2), in u.
            lip: The side of the lips.

        Returns:
            Shape (len(SKIN), N, 3), in u, in the order of `SKIN`.
        """
        x, y = points.T
        return np.stack([FIELDS[name](self._face, x, y, lip) for name in SKIN])


def skin_coefficients(motion: FaceMotion) -> NDArray[np.float32]:
    """The coefficients of `SKIN` in a motion, in its order, shape (len(SKIN),)."""
    return np.array([motion.get(name, 0.0) for name in SKIN], np.float32)

"""Displacement fields of the blendshapes.

Every field is a smooth function in face coordinates (x right, y down, z away from the camera, in
u), built around the face's landmarks: for example a Gaussian bump around a corner of the mouth. The
meaning of each blendshape is in `blendshapes.SKIN`.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Self, TypeAlias

import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.warp import smoothstep


class Lip(enum.Enum):
    """A side of the line between the lips."""

    UPPER = enum.auto()
    LOWER = enum.auto()


@frozen(eq=False)
class MouthShape:
    """The mouth's geometry in face coordinates, in u.

    Attributes:
        centre, half_width: Of the line between the corners.
        inner_half_width: Distance from the centre up to which the lips can part.
        chin: Distance from that line to the chin.
        corners: Left and right, shape (2, 2).
        thickness: Height of each lip at its middle.
    """

    centre: Array
    half_width: float
    inner_half_width: float
    chin: float
    corners: Array
    thickness: Mapping[Lip, float]
    _lips: Mapping[Lip, Array]

    @classmethod
    def of(cls, local: Array) -> Self:
        """Return the mouth of a face; `local` are its landmarks, shape (478, 3), in u."""
        corners = local[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT], :2]
        centre = corners.mean(axis=0)
        lips = {
            Lip.UPPER: local[list(lm.LIPS_INNER_UPPER), :2],
            Lip.LOWER: local[list(lm.LIPS_INNER_LOWER), :2],
        }
        half_width = max(float(corners[1, 0] - corners[0, 0]) / 2, 0.15)
        inner = np.abs(lips[Lip.UPPER][[0, -1], 0] - centre[0]).mean()
        chin = max(float(local[lm.CHIN, 1] - centre[1]), 0.25)
        outer = {Lip.UPPER: lm.LIPS_OUTER_UPPER, Lip.LOWER: lm.LIPS_OUTER_LOWER}
        thickness = {
            lip: max(float(abs(local[group[5], 1] - lips[lip][5, 1])), 0.02)
            for lip, group in outer.items()
        }
        return cls(
            centre, half_width, min(float(inner), half_width), chin, corners, thickness, lips
        )

    def along(self, x: Array) -> Array:
        """Return the signed horizontal distance from the centre, in u."""
        return np.asarray(x - self.centre[0])

    def below(self, x: Array, y: Array, lip: Lip) -> Array:
        """Return the distance below a lip's edge, in u; beyond the corners, the edge is level."""
        return y - self._edge(x, lip)

    def gap(self, x: Array) -> Array:
        """Return the distance between the lips' edges, in u."""
        return np.maximum(self._edge(x, Lip.LOWER) - self._edge(x, Lip.UPPER), 0)

    def bend(self, x: Array) -> Array:
        """Return how far the line between the lips, once they close, is below its middle, in u."""
        middle = self.centre[:1]
        upper, lower = (self._edge(x, lip) - self._edge(middle, lip) for lip in Lip)
        return np.asarray(upper + _CLOSING * (lower - upper))

    def _edge(self, x: Array, lip: Lip) -> Array:
        edge = self._lips[lip]
        order = np.argsort(edge[:, 0], kind="stable")
        return np.asarray(np.interp(x, edge[order, 0], edge[order, 1]))


@frozen(eq=False)
class FaceShape:
    """The features around which the fields are built, in face coordinates, in u."""

    mouth: MouthShape
    brows: Array  # centres, left and right, (2, 2)
    brows_inner: Array  # inner ends, (2, 2)
    lids_top: Array  # y of the highest point of each eye, (2,)
    nose: Array  # tip, (2,)

    @classmethod
    def of(cls, local: Array) -> Self:
        """Return the features of a face; `local` are its landmarks, shape (478, 3), in u."""
        brows = [
            local[list(upper + lower), :2].mean(axis=0)
            for upper, lower in (
                (lm.BROW_LEFT_UPPER, lm.BROW_LEFT_LOWER),
                (lm.BROW_RIGHT_UPPER, lm.BROW_RIGHT_LOWER),
            )
        ]
        inner = local[[lm.BROW_LEFT_UPPER[-1], lm.BROW_RIGHT_UPPER[-1]], :2]
        tops = [local[list(lids), 1].min() for lids in (lm.EYE_LEFT_UPPER, lm.EYE_RIGHT_UPPER)]
        nose = local[lm.NOSE_TIP, :2]
        return cls(MouthShape.of(local), np.array(brows), inner, np.array(tops), nose)


_KISS = 0.165
"""Half width of a kissing mouth, in u."""
_FARTHEST = 0.19
"""How far a corner of the mouth moves inwards at most, in u."""
_UNDER_NOSE, _BESIDE_NOSE = 0.08, 0.40
"""Distances from the middle, in u, between which more and more of the skin above follows a kiss."""
_CLOSING = 0.25
"""Where open lips meet, from 0 at the upper lip to 1 at the lower one."""
_PRESSED = 0.006
"""How far each lip moves behind the other when they close, in u."""
_KISSING_LIPS = {Lip.UPPER: 0.11, Lip.LOWER: 0.13}
"""Height of the lips of a kissing mouth, in u."""

_NECK = 0.85
"""Distance, in u, over which the skin below the chin follows the jaw less and less."""

FieldFunction: TypeAlias = Callable[[FaceShape, Array, Array, Lip], Array]
"""Returns displacements (N, 3) at x (N,), y (N,) on one side of the lips; all in u."""


def _bump(
    x: Array, y: Array, centre: Array | tuple[float, float], wide: float, high: float
) -> Array:
    across, down = (x - centre[0]) / wide, (y - centre[1]) / high
    return np.asarray(np.exp(-0.5 * (across**2 + down**2)))


def _decay(distance: Array, scale: Array | float) -> Array:
    return np.asarray(np.exp(-0.5 * (distance / scale) ** 2))


def _vector(x: Array | float = 0.0, y: Array | float = 0.0, z: Array | float = 0.0) -> Array:
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1)


def _jaw_open(face: FaceShape, x: Array, y: Array, lip: Lip) -> Array:
    """Rotate the jaw about the ears: most at the chin; the corners of the mouth follow a little."""
    mouth = face.mouth
    across, v = mouth.along(x), mouth.below(x, y, lip)
    a = np.abs(across) / mouth.half_width
    corner = 0.16 * _decay(a - 1, 0.6)
    if lip is Lip.LOWER:
        # The lips part between the inner corners only, and meet there at an acute angle.
        inner = np.minimum(np.abs(across) / mouth.inner_half_width, 1)
        arch = (1 - inner**3.2) ** 0.8
        lip_profile = np.where(a < 1, 0.16 + 0.84 * arch, corner)
        jaw_profile = np.exp(-0.5 * (a / 2.05) ** 4)
        towards_chin = smoothstep(v / (0.55 * mouth.chin))
        profile = lip_profile * (1 - towards_chin) + jaw_profile * towards_chin
        neck = 1 - smoothstep((v - 0.9 * mouth.chin) / _NECK)
        drop = profile * neck * _decay(np.minimum(v, 0), 0.12)
    else:
        inside = 0.16 * _decay(a - 1, 0.25)
        drop = np.where(a < 1, inside, corner) * _decay(np.minimum(v, 0), 0.22 * mouth.chin)
    inwards = -across * _decay(v, 0.22) * _decay(across, 1.5 * mouth.half_width) * 0.26
    return 0.32 * _vector(inwards, drop, 0.2 * drop)


def _lip_arch(mouth: MouthShape, x: Array) -> Array:
    return np.clip(1 - (mouth.along(x) / mouth.half_width) ** 2, 0, 1)


def _upper_up(face: FaceShape, x: Array, y: Array, lip: Lip) -> Array:
    if lip is Lip.LOWER:
        return np.zeros((*x.shape, 3))
    mouth, v = face.mouth, face.mouth.below(x, y, lip)
    # A lip that shows the teeth in the photo has risen already.
    left = float(np.clip(1 - mouth.gap(mouth.centre[:1])[0] / 0.14, 0.5, 1))
    return _vector(y=-0.075 * left * _lip_arch(mouth, x) * _decay(v, 0.16))


def _lower_down(face: FaceShape, x: Array, y: Array, lip: Lip) -> Array:
    if lip is Lip.UPPER:
        return np.zeros((*x.shape, 3))
    v = face.mouth.below(x, y, lip)
    return _vector(y=0.075 * _lip_arch(face.mouth, x) * _decay(v, 0.16))


def _pucker(face: FaceShape, x: Array, y: Array, lip: Lip) -> Array:
    """Move the corners together, thicken the lips and move them forward; flatten a smile."""
    mouth = face.mouth
    across, v = mouth.along(x), mouth.below(x, y, lip)
    # The lips of a smile are wide and thin: they have a longer way, but skin yields only so far.
    narrower = min(max(1 - _KISS / mouth.half_width, 0.38), _FARTHEST / mouth.half_width)
    upper = v < 0
    # The nose above stays almost as wide as it is. Cheeks follow, or their folds would curl.
    beside = (np.abs(across) - _UNDER_NOSE) / (_BESIDE_NOSE - _UNDER_NOSE)
    reach = _decay(v, np.where(upper, 0.10, 0.15) + 0.12 * smoothstep(beside))
    reach = reach * np.exp(-0.5 * (across / (1.25 * mouth.half_width)) ** 4)
    thickness = np.where(upper, *(mouth.thickness[each] for each in Lip))
    pouting = np.where(upper, *(_KISSING_LIPS[each] for each in Lip))
    more = np.clip(np.maximum(pouting, 1.2 * thickness) - thickness, 0, 1.8 * thickness)
    arch = _lip_arch(mouth, x) ** 0.7
    beyond = np.maximum(np.abs(v) - thickness, 0)
    # What is next to the other lip, which may be a tooth, is not enlarged.
    swell = arch * more * np.sign(v) * smoothstep(np.abs(v) / thickness) * _decay(beyond, 0.09)
    level = -1.7 * mouth.bend(x) * reach
    return _vector(-across * reach * narrower, swell + level, -0.12 * reach)


def _close(face: FaceShape, x: Array, y: Array, lip: Lip) -> Array:
    """Close open lips, slightly too far since landmarks are not exact; the jaw does most of it."""
    gap, v = face.mouth.gap(x), face.mouth.below(x, y, lip)
    too_far = 0.08 * gap + _PRESSED * smoothstep(gap / 0.05)
    move = _CLOSING * gap + too_far if lip is Lip.UPPER else (_CLOSING - 1) * gap - too_far
    return _vector(y=move * _decay(v, 0.14))


def _sneer(face: FaceShape, x: Array, y: Array, lip: Lip) -> Array:  # noqa: ARG001 - the signature of a field
    return _vector(y=-0.03 * _bump(x, y, face.nose, 0.2, 0.22))


def _smile(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    outwards = (-1, 1)[side]
    corner, mouth = face.mouth.corners[side], face.mouth
    # The middle moves less, so that the line between the lips bends.
    from_middle = smoothstep(0.15 + 0.85 * np.abs(mouth.along(x)) / mouth.half_width)
    pull = _bump(x, y, corner, 0.18, 0.17) * (0.2 + 0.8 * from_middle)
    # A mouth that smiles in the photo has less of the way left.
    pull *= float(np.clip(1 - (mouth.half_width - 0.33) / 0.15, 0.45, 1))
    # Corners that hang have a longer way.
    lift = 0.085 + float(np.clip(mouth.bend(corner[:1])[0] - 0.02, 0, 0.08))
    cheek = _bump(x, y, (corner[0] + outwards * 0.09, corner[1] - 0.34), 0.19, 0.16)
    return _vector(
        outwards * (0.095 * pull + 0.02 * cheek),
        -lift * pull - 0.045 * cheek,
        0.05 * pull - 0.05 * cheek,
    )


def _frown(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    outwards = (-1, 1)[side]
    pull = _bump(x, y, face.mouth.corners[side], 0.17, 0.16)
    return _vector(-outwards * 0.015 * pull, 0.07 * pull)


def _narrow(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    outwards = (-1, 1)[side]
    pull = _bump(x, y, face.mouth.corners[side], 0.19, 0.17)
    return _vector(x=-outwards * 0.13 * pull, z=-0.08 * pull)


def _cheek(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    outwards = (-1, 1)[side]
    corner = face.mouth.corners[side]
    cheek = (corner[0] + outwards * 0.08, corner[1] - 0.36)
    return _vector(y=-0.055 * _bump(x, y, cheek, 0.20, 0.13))


def _above_lids(face: FaceShape, y: Array, side: int) -> Array:
    return smoothstep((face.lids_top[side] - 0.02 - y) / 0.11)


def _brow_up(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    brow = face.brows[side]
    lift = _bump(x, y, (brow[0], brow[1] - 0.02), 0.26, 0.13)
    forehead = 0.5 * _bump(x, y, (brow[0], brow[1] - 0.27), 0.30, 0.17)
    return _vector(y=-0.07 * (lift + forehead) * _above_lids(face, y, side))


def _brow_inner_up(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    lift = _bump(x, y, face.brows_inner[side], 0.15, 0.12)
    return _vector(y=-0.07 * lift * _above_lids(face, y, side))


def _brow_down(face: FaceShape, x: Array, y: Array, side: int) -> Array:
    outwards = (-1, 1)[side]
    brow, free = face.brows[side], _above_lids(face, y, side)
    whole = _bump(x, y, (brow[0], brow[1] - 0.02), 0.26, 0.13) * free
    inner = _bump(x, y, face.brows_inner[side], 0.15, 0.12) * free
    return _vector(-outwards * 0.035 * inner, 0.022 * whole + 0.035 * inner)


def _beside(field: Callable[[FaceShape, Array, Array, int], Array], side: int) -> FieldFunction:
    """Return the field of one side of the face, 0 or 1, which is the same for both lips."""
    return lambda face, x, y, _: field(face, x, y, side)


_TWO_SIDED = {
    "mouthSmile": _smile,
    "mouthFrown": _frown,
    "mouthNarrow": _narrow,
    "cheekSquint": _cheek,
    "browUp": _brow_up,
    "browInnerUp": _brow_inner_up,
    "browDown": _brow_down,
}

FIELDS: Mapping[str, FieldFunction] = {
    "jawOpen": _jaw_open,
    "mouthUpperUp": _upper_up,
    "mouthLowerDown": _lower_down,
    "mouthPucker": _pucker,
    "mouthClose": _close,
    "noseSneer": _sneer,
    **{
        f"{name}{side}": _beside(field, index)
        for name, field in _TWO_SIDED.items()
        for index, side in enumerate(("Left", "Right"))
    },
}

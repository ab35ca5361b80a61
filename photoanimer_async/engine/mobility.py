"""Mobility: which parts of a region move with the person who is animated.

Theory of operation
-------------------
The person mask shows people, not whom they are. Other people, and things that are in the mask, must
stand still. Three things tell them apart:

* faces: they are searched for in the region, and motion ends midway between two of them, nearer to
  the smaller one;
* gaps: what the mask shows at the height of the head, but is not connected to the face there,
  belongs to somebody or something else;
* doubt: where the network is uncertain of a whole area, not only of an edge.

Where the region cuts off the person, nothing may move either. Where the photo does, nothing may
move away from its border, or a gap would appear; it can move along. If the photo cuts off the face
itself, all of it moves less: otherwise it would be squeezed at the border, or stretched.

Each gives a weight that falls smoothly, so that nothing tears where two people touch.
"""

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.detection import MIN_SCORE, BlazeFace, Detection, merge
from photoanimer_async.engine.head_outline import HALF_MOTION, HeadEllipse
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, resample, smoothstep

_FADE = 0.22
"""Part of the way to a neighbour's face over which motion ends."""

_LIKELY = 0.5
"""Probability from which a pixel is somebody."""

_HEAD_LEVEL = 0.35
"""How far below the face's centre gaps separate people, in heights of the face."""

_FACE = 0.5
"""Radius around the centre of the head, in radii, that surely shows the person."""

_SAMPLES = 160
"""Longest side of the map of weights."""

_AREA, _DOUBT_START, _DOUBT_WIDTH = 0.3, 0.3, 0.4
"""Side, in heights of the face, of the squares in which doubt is averaged, and the doubt from which
and over which motion ends."""

_SOFT = 0.12
"""Width, in heights of the face, of the transition around what is not connected."""

_BORDER_STRIP, _REGION_STRIP = 0.3, 0.6
"""Distance, in heights of the face, from where the photo or the region cuts off the person, over
which motion ends."""

_HALF_STRIP = 0.7
"""The first of these where half the face is cut off."""

_HELD = 0.08
"""Distance within which nothing moves at all: more than a cell of the lattice of the motion."""

_TRACE = 0.1
"""Probability from which somebody may be cut off."""


@frozen
class _Side:
    """A side of a box: its name there, whether it is vertical, and its line of pixels."""

    name: str
    is_vertical: bool
    line: tuple[slice, slice]

    def of(self, box: Box) -> int:
        """Return the position of this side of a box."""
        return int(getattr(box, self.name))


_SIDES = (
    _Side("left", is_vertical=True, line=np.s_[:, :1]),
    _Side("top", is_vertical=False, line=np.s_[:1, :]),
    _Side("right", is_vertical=True, line=np.s_[:, -1:]),
    _Side("bottom", is_vertical=False, line=np.s_[-1:, :]),
)


@frozen(eq=False)
class Mobility:
    """How far the pixels of a region can move with one person: a map of weights.

    There are two, for motion across and down.
    """

    _box: Box
    _scale: float
    _weight: Floats

    @classmethod
    def of(
        cls, probability: Floats, box: Box, picture: Box, ellipse: HeadEllipse, others: Array
    ) -> "Mobility":
        """Compute the weights.

        Args:
            probability: That of a person, shape (height, width) of the box.
            box: The region's pixels.
            picture: The photo's pixels.
            ellipse: The outline of the head.
            others: Centres and sizes of other faces: x, y, size, shape (n, 3), in pixels.
        """
        scale = min(_SAMPLES / max(box.width, box.height), 1.0)
        size = (max(1, round(box.width * scale)), max(1, round(box.height * scale)))
        small = cv2.resize(probability, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        points = (np.stack([x, y], axis=-1) + 0.5) / scale - 0.5 + [box.left, box.top]
        height = ellipse.face_height * scale
        weight = 1 - _apart(small, points, ellipse, _SOFT * height)
        weight *= 1 - _doubt(small, _AREA * height)
        for other in others:
            weight *= _nearer(points, ellipse, other)
        across, down = weight.copy(), weight
        for side, cut_off in zip(_SIDES, ellipse.cut_off(picture), strict=True):
            distance = _distance_from_cut(small, side)
            if distance is None:
                continue
            at_border = side.of(box) == side.of(picture)
            strip, most = _REGION_STRIP, 1.0
            if at_border:
                strip = _BORDER_STRIP + (_HALF_STRIP - _BORDER_STRIP) * cut_off
                most = 1 - (1 - HALF_MOTION) * cut_off
            free = smoothstep((distance / height - np.float32(_HELD)) / np.float32(strip))
            free *= np.float32(most)
            if side.is_vertical or not at_border:
                across *= free
            if not side.is_vertical or not at_border:
                down *= free
        return cls(box, scale, np.stack([across, down], axis=-1).astype(np.float32))

    def at(self, points: Field) -> Floats:
        """Return how far points of the photo move across and down, 0 to 1; both (M, N, 2)."""
        offset = 0.5 - np.array([self._box.left, self._box.top])
        place = (points + offset) * self._scale - 0.5
        return resample(self._weight, place.astype(np.float32))


def other_faces(photo: Picture, box: Box, quarters: int, ellipse: HeadEllipse) -> Array:
    """Return centres and sizes of faces in and near a box: x, y, size, shape (n, 3), in pixels.

    Args:
        photo: Shape (H, W, 3).
        box: The region of the face that is animated.
        quarters: Turns by 90 degrees, for `numpy.rot90`, that make faces upright.
        ellipse: The outline of the animated face's head. It is not returned.
    """
    near = box.moved(np.zeros(2), ellipse.face_height) & Box.of(photo)
    part = photo[near.slices]
    upright = np.ascontiguousarray(np.rot90(part, quarters))
    faces = [
        found.rotated_back(quarters, part).moved(near.left, near.top)
        for found in merge(BlazeFace.full_range().detect(upright, MIN_SCORE))
    ]
    others = [face for face in faces if _is_other(face, ellipse.centre, ellipse.face_height)]
    return np.array([[*face.centre, face.size.max()] for face in others]).reshape(-1, 3)


def _is_other(face: Detection, own: Array, size: float) -> bool:
    distance = float(np.hypot(*(face.centre - own)))
    return distance > (size + float(face.size.max())) / 3


def _nearer(points: Array, ellipse: HeadEllipse, other: Array) -> Array:
    """Return 1 at points that are nearer to the face than to another one, else 0."""
    way = other[:2] - ellipse.centre
    part = (points - ellipse.centre) @ way / (way @ way)
    border = ellipse.face_height / (ellipse.face_height + other[2])
    return np.asarray(1 - smoothstep((part - border) / _FADE + 1), np.float64)


def _apart(small: Floats, points: Array, ellipse: HeadEllipse, soft: float) -> Floats:
    """Return 1 on what is beside the head, but not connected to it, else 0; (H, W)."""
    _, below = ellipse.axes_of(points)
    head_level = below < _HEAD_LEVEL * ellipse.face_height
    people = ((small > _LIKELY) & head_level).astype(np.uint8)
    _, labels = cv2.connectedComponents(people)
    own = labels[ellipse.radius(points) < _FACE]
    apart = ((people > 0) & ~np.isin(labels, own)).astype(np.float32)
    soft = max(soft, 0.5)
    side = 2 * round(soft) + 1
    grown = cv2.dilate(apart, np.ones((side, side), np.uint8))
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), soft / 2), np.float32)


def _doubt(small: Floats, area: float) -> Floats:
    """Return 1 where the probability is neither high nor low over a whole area, else 0; (H, W)."""
    side = max(3, 2 * round(area / 2) + 1)
    doubt = cv2.blur(1 - np.abs(2 * small - 1), (side, side))
    soft = smoothstep((np.asarray(doubt, np.float32) - _DOUBT_START) / _DOUBT_WIDTH)
    return np.asarray(cv2.blur(soft, (side, side)), np.float32)


def _distance_from_cut(small: Floats, side: _Side) -> Floats | None:
    """Return the distance of each sample from where a side cuts off somebody, shape (H, W).

    None if it cuts off nobody.
    """
    free = (small < _TRACE).astype(np.uint8)
    inside = np.ones_like(free)
    inside[side.line] = free[side.line]
    if inside.all():
        return None
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 5), np.float32)

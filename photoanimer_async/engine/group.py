"""Several people in one photo, each moved by a portrait of their own.

Every face gets a rectangle of the photo to itself: all that is nearer to it than to any other,
as far as a rectangle can say. The engine sees only that part of the photo, so each head moves in
its own and comes to rest at its border.
"""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.portrait import Engine, Portrait
from photoanimer_async.engine.shapes import FaceMotion

_REACH = 1.5
"""How far a rectangle reaches beyond the face's box, in sizes of the box."""


@frozen
class Rectangle:
    """A part of a picture, in whole pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, picture: Picture) -> Picture:
        """A view of that part of the picture."""
        return picture[self.top : self.bottom, self.left : self.right]


@frozen(eq=False)
class GroupPortrait:
    """A photo of several people, ready to be moved."""

    photo: Picture
    parts: Sequence[tuple[Rectangle, Portrait]]

    @classmethod
    def prepared(cls, engine: Engine, photo: Picture, faces: Sequence[Face]) -> "GroupPortrait":
        """Prepare each face within its own rectangle."""
        parts = []
        for rectangle, face in zip(rectangles(photo, faces), faces, strict=True):
            moved = face.moved(-rectangle.left, -rectangle.top)
            part = np.ascontiguousarray(rectangle.of(photo))
            parts.append((rectangle, engine.prepare(part, moved)))
        return cls(photo, parts)

    def frame(self, motions: Sequence[FaceMotion]) -> Picture:
        """The photo with each face in its own motion, in the order in which they were given."""
        frame = self.photo.copy()
        for (rectangle, portrait), motion in zip(self.parts, motions, strict=True):
            rectangle.of(frame)[:] = portrait.frame(motion)
        return frame


def rectangles(photo: Picture, faces: Sequence[Face]) -> list[Rectangle]:
    """A rectangle for each face; no two overlap where the faces' own boxes do not."""
    height, width = photo.shape[:2]
    return [
        _own_rectangle(face, [other for other in faces if other is not face], width, height)
        for face in faces
    ]


def _own_rectangle(face: Face, others: Sequence[Face], width: int, height: int) -> Rectangle:
    left, top, right, bottom = face.box
    reach = _REACH * max(right - left, bottom - top)
    sides = [max(0, left - reach), max(0, top - reach)]
    sides += [min(width, right + reach), min(height, bottom + reach)]
    for other in others:
        side, border = _border(face.box, other.box)
        sides[side] = (
            max(sides[side], border) if side in (_LEFT, _TOP) else min(sides[side], border)
        )
    return Rectangle(*(round(side) for side in sides))


_LEFT, _TOP, _RIGHT, _BOTTOM = range(4)


def _border(
    box: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> tuple[int, float]:
    """The side of `box` on which `other` lies farthest off, and the middle of the gap there."""
    gaps = {
        _LEFT: box[_LEFT] - other[_RIGHT],
        _TOP: box[_TOP] - other[_BOTTOM],
        _RIGHT: other[_LEFT] - box[_RIGHT],
        _BOTTOM: other[_TOP] - box[_BOTTOM],
    }
    side = max(gaps, key=lambda side: gaps[side])
    away = -0.5 if side in (_LEFT, _TOP) else 0.5
    return side, box[side] + away * gaps[side]

"""Several people in one photo, each animated in a rectangle of their own.

Each face is given a rectangle of the photo: approximately the area that is closer to it than to
other faces. The engine receives only this part of the photo, so a head does not move beyond it.
"""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.engines import Engine, Portrait
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box

_REACH = 1.5
"""Margin of a rectangle around the face's box, in sizes of the box."""


@frozen(eq=False)
class GroupPortrait:
    """A photo of several people, prepared for rendering."""

    _photo: Picture
    _parts: Sequence[tuple[Box, Portrait]]

    @classmethod
    def prepare(cls, engine: Engine, photo: Picture, faces: Sequence[Face]) -> "GroupPortrait":
        """Prepare each face in its own rectangle."""
        parts = []
        for box, face in zip(rectangles(photo, faces), faces, strict=True):
            part = np.ascontiguousarray(photo[box.slices])
            parts.append((box, engine.prepare(part, face.moved(-box.left, -box.top))))
        return cls(photo, parts)

    def frame(self, motions: Sequence[FaceMotion]) -> Picture:
        """Render the photo with one motion for each face, in the order of the faces."""
        frame = self._photo.copy()
        for (box, portrait), motion in zip(self._parts, motions, strict=True):
            frame[box.slices] = portrait.frame(motion)
        return frame


def rectangles(photo: Picture, faces: Sequence[Face]) -> list[Box]:
    """Return a rectangle for each face. They do not overlap unless the faces' boxes do."""
    height, width = photo.shape[:2]
    return [
        _own_rectangle(face, [other for other in faces if other is not face], width, height)
        for face in faces
    ]


def _own_rectangle(face: Face, others: Sequence[Face], width: int, height: int) -> Box:
    left, top, right, bottom = face.box
    reach = _REACH * max(right - left, bottom - top)
    sides = [max(0, left - reach), max(0, top - reach)]
    sides += [min(width, right + reach), min(height, bottom + reach)]
    for other in others:
        side, border = _border(face.box, other.box)
        sides[side] = (
            max(sides[side], border) if side in (_LEFT, _TOP) else min(sides[side], border)
        )
    return Box(*(round(side) for side in sides))


_LEFT, _TOP, _RIGHT, _BOTTOM = range(4)


def _border(
    box: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> tuple[int, float]:
    """Return the side of `box` with the largest gap to `other`, and the middle of this gap."""
    gaps = {
        _LEFT: box[_LEFT] - other[_RIGHT],
        _TOP: box[_TOP] - other[_BOTTOM],
        _RIGHT: other[_LEFT] - box[_RIGHT],
        _BOTTOM: other[_TOP] - box[_BOTTOM],
    }
    side = max(gaps, key=lambda side: gaps[side])
    away = -0.5 if side in (_LEFT, _TOP) else 0.5
    return side, box[side] + away * gaps[side]

"""The frame around a photo: the white margin of a print, or black bars.

A scan often shows the margin of the print. A person whom the photo cuts off must not move over it,
so it is treated as not belonging to the photo.

A side of a frame is a strip of one colour that ends along a straight line: behind it, most of a row
has another colour. A plain wall behind a person is of one colour, too, but ends at the person.
"""

import numpy as np

from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box

_ALIKE = 14
"""Difference, in levels of a channel, up to which a pixel has the colour of the frame."""

_FRAME, _PHOTO = 0.02, 0.7
"""Largest part of a row of the frame, and least part of the photo's first row, of another
colour."""

_WIDEST = 0.4
"""Largest width of a side, relative to the picture."""

_EDGE = 4
"""Largest number of rows over which a frame passes into the photo."""

_STEP = 3
"""Every n-th pixel of a row is looked at."""


def content_box(picture: Picture) -> Box:
    """Return the part of a picture, shape (H, W, 3), inside its frame: all of it without one."""
    bottom = picture.shape[0] - _side(picture[::-1])
    top = _side(picture)
    rows = picture[top:bottom].swapaxes(0, 1)
    right = picture.shape[1] - _side(rows[::-1])
    return Box(_side(rows), top, right, bottom)


def _side(rows: Picture) -> int:
    """Return the width of the frame's side at the first rows, shape (n, m, 3)."""
    seen = rows[: int(len(rows) * _WIDEST), ::_STEP]
    if not seen.size or _different(seen[:1], seen)[0] > _FRAME:
        return 0
    different = _different(seen, seen)
    inside = np.flatnonzero(different > _FRAME)
    if not len(inside):
        return 0
    edge = different[inside[0] : inside[0] + _EDGE]
    photo = np.flatnonzero(edge > _PHOTO)
    return int(inside[0] + photo[0]) if len(photo) else 0


def _different(rows: Picture, seen: Picture) -> Array:
    """Return which part of each row has not the colour of the first row that was seen, (n,)."""
    colour = np.median(seen[0], axis=0)
    return np.asarray((np.abs(rows - colour).max(axis=-1) > _ALIKE).mean(axis=-1), np.float64)

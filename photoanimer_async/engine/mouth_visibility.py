"""Whether the mouth is visible, or covered by a hand, a mask, a microphone or a beard.

The landmarks of a covered mouth are a guess: opening it would paint lips and teeth on what covers
it. A mouth is taken as visible if one of these is found where the landmarks say:

* lips that are redder than the skin around them;
* the dark line between closed lips, which ends at the corners of the mouth (the gap between two
  fingers does not);
* teeth or a dark opening between open lips, which differ from the lips.

Colours that lips do not have, far from skin's towards blue and grey, are a cover unless the line
between closed lips is clear.
Colours are those of CIE Lab; thresholds are relative to the skin of the same face, since a dark or
pale photo has small differences.
"""

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, resample

_REDDER = 0.08
"""Least redness of lips relative to the colourfulness of skin."""
_COLOURLESS = 6.0
"""Colourfulness of pale skin: lower ones are taken for this."""
_LINE, _GREY_LINE = 0.10, 0.05
"""Least darkness of the line between closed lips, relative to the skin's lightness, in photos with
and without colours: the latter have nothing else to go by, and are often grainy."""
_CLEAR_LINE = 0.2
"""Darkness of that line which no cover has: lips may be blue and grey in mixed light."""
_OPEN = 0.05
"""Gap between the lips, in u, above which they are open."""
_INTERIOR = 0.09
"""Least difference of an open mouth's interior from the lips, relative to the skin's lightness."""
_FOREIGN = 0.5
"""Distance of a colour from skin's, relative to its colourfulness, that is not one of lips."""

_BLURRED, _BLURRED_FACE = 2.5, 0.015
"""Blur, in pixels and in u, above which a photo shows no lips, line or teeth of any mouth: it was
enlarged, or out of focus. A mouth in it is taken as visible, unless it has a foreign colour."""

_RESOLUTION = 100.0
"""Largest u, in pixels, at which colours are compared."""

_SKIN = (50, 101, 280, 330, 118, 347, 151, 108, 337)
"""Landmarks on the cheeks, under the eyes and on the forehead."""


def mouth_is_covered(
    picture: Picture, landmarks: Array, unit: float, texture: PhotoTexture
) -> bool:
    """Return whether something is in front of the mouth.

    Args:
        picture: The photo.
        landmarks: Shape (478, 3).
        unit: u in pixels.
        texture: The photo's texture.
    """
    colours = _MouthColours.of(picture, landmarks[:, :2], unit)
    if colours is None:
        return False
    if colours.foreign and colours.line < _CLEAR_LINE:
        return True
    if texture.blur > max(_BLURRED, _BLURRED_FACE * unit):
        return False
    lined = colours.line > (_GREY_LINE if texture.monochrome else _LINE)
    return not (lined or colours.redder or colours.opened)


@frozen(eq=False)
class _MouthColours:
    """Median colours of a mouth and the skin around it, in CIE Lab, each of shape (3,)."""

    skin: Floats
    lips: Floats
    around: Floats
    interior: Floats | None  # of open lips
    line: float  # darkness of the line between the lips, relative to the skin's lightness

    @classmethod
    def of(cls, picture: Picture, points: Array, unit: float) -> "_MouthColours | None":
        box = Box.around(points, 0.1 * unit) & Box.of(picture)
        if box.width < unit or box.height < unit / 2:
            return None
        at, shrunk = points - [box.left, box.top], min(_RESOLUTION / unit, 1.0)
        part = picture[box.slices].astype(np.float32) / 255
        if shrunk < 1:
            small = cv2.resize(part, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
            part = np.asarray(small, np.float32)
            at, unit = (at + 0.5) * shrunk - 0.5, unit * shrunk
        smooth = cv2.GaussianBlur(part, (0, 0), max(0.01 * unit, 0.5))
        lab = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float32)
        outer = _filled(lab, at[list(lm.LIPS_OUTER)])
        inner = _filled(lab, at[list(lm.LIPS_INNER)])
        lips = (_grown(outer, -0.008 * unit) > 0) & (_grown(inner, 0.012 * unit) == 0)
        around = (_grown(outer, 0.10 * unit) > 0) & (_grown(outer, 0.025 * unit) == 0)
        if not (lips.any() and around.any()):
            return None
        gap = float(np.hypot(*(at[lm.LIP_INNER_BOTTOM] - at[lm.LIP_INNER_TOP])))
        inside = _grown(inner, -0.01 * unit) > 0
        skin = np.median(resample(lab, at[None, list(_SKIN)].astype(np.float32))[0], axis=0)
        return cls(
            skin,
            np.median(lab[lips], axis=0),
            np.median(lab[around], axis=0),
            np.median(lab[inside], axis=0) if gap > _OPEN * unit and inside.any() else None,
            _line_between_lips(lab[..., 0], at, unit) / max(float(skin[0]), 1.0),
        )

    @property
    def colourfulness(self) -> float:
        """Of the skin."""
        return float(np.hypot(*self.skin[1:]))

    @property
    def redder(self) -> bool:
        """Whether the lips are redder than the skin around them."""
        least = _REDDER * max(self.colourfulness, _COLOURLESS)
        return float(self.lips[1] - self.around[1]) > least

    @property
    def opened(self) -> bool:
        """Whether there is something between the lips."""
        if self.interior is None:
            return False
        return bool(np.linalg.norm(self.interior - self.lips) > _INTERIOR * self.skin[0])

    @property
    def foreign(self) -> bool:
        """Whether the lips have a colour that is bluer and greyer than any skin."""
        red, yellow = (self.lips - self.skin)[1:]
        far = float(np.hypot(red, yellow)) > _FOREIGN * max(self.colourfulness, 2 * _COLOURLESS)
        return far and red < 0 and yellow < 0


def _line_between_lips(light: Floats, points: Array, unit: float) -> float:
    """Return how much darker the line between the lips is than they, and than its extensions."""
    left, right = points[[lm.MOUTH_LEFT, lm.MOUTH_RIGHT]]
    along = (right - left) / max(float(np.hypot(*(right - left))), 1e-6)
    upper, lower = points[list(lm.LIPS_INNER_UPPER)], points[list(lm.LIPS_INNER_LOWER)]
    steps, middle = np.linspace(1.5, 8.5, 24), (upper + lower) / 2
    line = np.stack([np.interp(steps, np.arange(11), axis) for axis in middle.T], axis=-1)
    beyond = np.linspace(0.06, 0.16, 8)[:, None] * unit * along
    ends = np.concatenate([left - beyond, right + beyond])
    down = np.array([-along[1], along[0]]) * unit
    return _valley(light, line, down) - max(_valley(light, ends, down), 0.0)


def _valley(light: Floats, places: Array, down: Array) -> float:
    """Return the median darkness of places, shape (n, 2), relative to those above and below."""

    def at(offsets: Array) -> Floats:
        positions = places[None] + offsets[:, None, None] * down
        return resample(light, positions.astype(np.float32))

    sides = [
        at(np.linspace(near, far, 5)).mean(axis=0) for near, far in ((-0.09, -0.045), (0.045, 0.09))
    ]
    return float(np.median(np.minimum(*sides) - at(np.linspace(-0.025, 0.025, 7)).min(axis=0)))


def _filled(like: Floats, outline: Array) -> NDArray[np.uint8]:
    mask = np.zeros(like.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask


def _grown(mask: NDArray[np.uint8], by: float) -> NDArray[np.uint8]:
    """Return a mask grown by some pixels, or shrunk if negative."""
    side = 2 * max(1, round(abs(by))) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    change = cv2.dilate if by > 0 else cv2.erode
    return np.asarray(change(mask, kernel), np.uint8)

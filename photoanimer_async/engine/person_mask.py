"""The person mask: how much of each pixel belongs to the person whose face is animated.

Theory of operation
-------------------
A small network (MediaPipe's selfie segmentation, 256 px) gives the probability that a pixel shows a
person. It is run on a part of the photo around the face, upright, in which the person is about as
large as in the network's training; neighbours are mostly outside of it.

The probability is soft over some pixels of the photo. It is sharpened to a *matte*: in a band along
the edge, the opacity is taken from the colours. Each pixel is compared with the colours of person
and background nearby: it is as opaque as it is closer to the person's. Where both look the same, it
keeps the probability.

A mask is *trusted* if face and mask agree: the whole face is in the mask, the mask has an outside
beside the head, and is certain around it. Otherwise there is none, and the photo is moved
as a single layer.
"""

import math
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.mobility import Mobility, other_faces
from photoanimer_async.engine.networks import PEOPLE, load_network
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.texture_fill import fill_smoothly, sampling_step
from photoanimer_async.engine.warp import Box

_SIDE = 256
_BESIDE, _ABOVE, _BELOW = 1.6, 1.2, 2.6
"""Margins of the part of the photo around the face's box, in sizes of the box."""

_MIN_ON_FACE = 0.9
"""Least mean probability on the face."""

_PERSON, _BACKGROUND = 0.75, 0.25
"""Probabilities from and up to which a pixel is clearly one or the other."""

_MAX_HOLE = 0.5
"""Side of a square of the area, in u, up to which a hole in the mask is filled."""

_MAX_UNCERTAIN = 0.15
"""Largest uncertain area near the head, relative to that of the mask there."""

_NEAR = 1.7
"""Radius, in radii of the head, within which it must be certain."""

_RINGS = 1.45, 1.75, 2.05
"""Radii of half rings around the top of the head; hair may fill the inner ones."""

_LEAST_SHOWN, _MIN_BACKGROUND = 5, 0.35
"""Least number of a ring's 36 points in the region, and the least part of them on background."""

_SURE, _BAND = 0.9, 0.06
"""Probability from which a pixel is surely person, and the distance from others, in u."""

_NOISE, _DOUBT, _SHARPEN = 200.0, 12.0, 3.0
"""Weight of the probability where colours are uniform, its growth with their variance, and the
factor by which the probability is sharpened where it decides."""


@frozen(eq=False)
class Region:
    """The part of a photo in which a person is animated.

    Attributes:
        box: Its pixels.
        quarters: Turns by 90 degrees, for `numpy.rot90`, that make the face upright.
    """

    box: Box
    quarters: int

    @classmethod
    def around(cls, landmarks: Array, roll: float, photo: Picture) -> Self:
        """Return the region of a face with these landmarks, shape (478, 3), and its roll."""
        quarters = round(roll / (math.pi / 2)) % 4
        face = landmarks[: lm.MESH_COUNT, :2]
        low, high = face.min(axis=0), face.max(axis=0)
        size = float((high - low).max())
        sides = np.roll([_ABOVE, _BESIDE, _BELOW, _BESIDE], quarters) * size
        top, right, bottom, left = sides.tolist()
        margins = np.array([[-left, -top], [right, bottom]])
        corners = np.stack([low, high]) + margins
        return cls(Box.around(corners) & Box.of(photo), quarters)

    @property
    def down(self) -> Array:
        """The direction from the head to the feet, along an axis of the picture, shape (2,)."""
        return np.array(((0, 1), (-1, 0), (0, -1), (1, 0))[self.quarters], np.float64)

    def foot(self, start: Array) -> float:
        """Return the distance from a point, shape (2,), down to the end of the region."""
        corners = np.array([[self.box.left, self.box.top], [self.box.right, self.box.bottom]])
        return float(((corners - start) @ self.down).max())


def person_probability(photo: Picture, region: Region) -> Floats:
    """Return the probability of a person at each pixel of a region, shape (height, width)."""
    part = np.rot90(photo[region.box.slices], region.quarters)
    small = cv2.resize(np.ascontiguousarray(part), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    (found,) = load_network(PEOPLE).run(None, {"input": small[None] * np.float32(1 / 255)})
    upright = np.asarray(found, np.float32)[0, :, :, 0]
    size = (region.box.width, region.box.height)
    turned = np.ascontiguousarray(np.rot90(upright, -region.quarters))
    return np.clip(cv2.resize(turned, size, interpolation=cv2.INTER_LINEAR), 0, 1)


@frozen(eq=False)
class PersonMask:
    """The matte of one person.

    Attributes:
        region: Where it was computed.
        opacity: How much of each pixel of the region's box is person, shape (height, width), 0
            to 1.
        mobility: How far the pixels of the region can move with the person.
    """

    region: Region
    opacity: Floats
    mobility: Mobility

    @classmethod
    def of(cls, photo: Picture, landmarks: Array, ellipse: HeadEllipse, unit: float) -> Self | None:
        """Return the matte of a person, or None if it cannot be trusted.

        Args:
            photo: RGB, shape (H, W, 3).
            landmarks: The face's, shape (478, 3).
            ellipse: The outline of the head.
            unit: u in pixels.
        """
        roll = math.atan2(ellipse.right[1], ellipse.right[0])
        region = Region.around(landmarks, roll, photo)
        if region.box.empty:
            return None
        probability = _without_holes(person_probability(photo, region), unit)
        if not _is_trusted(probability, region.box, landmarks, ellipse):
            return None
        others = other_faces(photo, region.box, region.quarters, ellipse)
        mobility = Mobility.of(probability, region.box, Box.of(photo), ellipse, others)
        return cls(region, matte(photo[region.box.slices], probability, unit), mobility)


def _without_holes(probability: Floats, unit: float) -> Floats:
    """Fill small holes of a mask: badges and shadows, at which the network is in doubt."""
    outside = (probability < _PERSON).astype(np.uint8)
    _, labels, found, _ = cv2.connectedComponentsWithStats(outside)
    height, width = probability.shape
    left, top = found[:, cv2.CC_STAT_LEFT], found[:, cv2.CC_STAT_TOP]
    right, bottom = left + found[:, cv2.CC_STAT_WIDTH], top + found[:, cv2.CC_STAT_HEIGHT]
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    small = enclosed & (found[:, cv2.CC_STAT_AREA] < (_MAX_HOLE * unit) ** 2)
    small[0] = False  # the person
    return np.where(small[labels], np.float32(1), probability) if small.any() else probability


def _is_trusted(probability: Floats, box: Box, landmarks: Array, ellipse: HeadEllipse) -> bool:
    """Return whether a mask agrees with the face that it belongs to."""
    face = np.zeros(probability.shape, np.uint8)
    oval = landmarks[list(lm.FACE_OVAL), :2] - [box.left, box.top]
    cv2.fillPoly(face, [np.round(oval).astype(np.int32)], 1)
    if not face.any() or probability[face > 0].mean() < _MIN_ON_FACE:
        return False
    person, background = probability >= _PERSON, probability <= _BACKGROUND
    near = _disc_around(ellipse, box)
    if (near & ~person & ~background).sum() > _MAX_UNCERTAIN * (near & person).sum():
        return False
    return any(_shows_background(background, ellipse, radius, box) for radius in _RINGS)


def _shows_background(
    background: NDArray[np.bool_], ellipse: HeadEllipse, radius: float, box: Box
) -> bool:
    """Return whether a half ring around the top of the head shows enough background."""
    ring = ellipse.outline(radius, 72)
    above = (ring - ellipse.centre) @ ellipse.down < 0
    x, y = (ring[above] - [box.left, box.top]).round().astype(int).T
    inside = (x >= 0) & (x < box.width) & (y >= 0) & (y < box.height)
    shown = background[y[inside], x[inside]]
    return bool(len(shown) >= _LEAST_SHOWN and shown.mean() >= _MIN_BACKGROUND)


def _disc_around(ellipse: HeadEllipse, box: Box) -> NDArray[np.bool_]:
    """Return which pixels of a box are on or near the head."""
    near = np.zeros((box.height, box.width), np.uint8)
    outline = ellipse.outline(_NEAR, 64) - [box.left, box.top]
    cv2.fillPoly(near, [np.round(outline).astype(np.int32)], 1)
    return near > 0


def matte(part: Picture, probability: Floats, unit: float) -> Floats:
    """Sharpen a probability by the colours of person and background.

    Args:
        part: The picture, shape (H, W, 3).
        probability: That of a person, shape (H, W).
        unit: u in pixels.

    Returns:
        Opacity of the person, shape (H, W), 0 to 1.
    """
    reach = max(1, round(_BAND * unit))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    person, background = (
        np.asarray(cv2.erode(sure.astype(np.uint8), disc), np.uint8)
        for sure in (probability > _SURE, probability < 1 - _SURE)
    )
    band = (person | background) == 0
    inner, inner_variance = _nearby_colours(part, person, band, sampling_step(unit))
    outer, outer_variance = _nearby_colours(part, background, band, sampling_step(unit))
    across = inner - outer
    along = ((part[band] - outer) * across).sum(axis=-1)
    doubt = _NOISE + _DOUBT * (inner_variance + outer_variance)
    expected = np.clip((probability[band] - 0.5) * _SHARPEN + 0.5, 0, 1)
    found = (along + doubt * expected) / (np.square(across).sum(axis=-1) + doubt)
    opacity = person.astype(np.float32)
    opacity[band] = np.clip(found, 0, 1)
    return opacity


def _nearby_colours(
    part: Picture, sure: NDArray[np.uint8], band: NDArray[np.bool_], step: int
) -> tuple[Floats, Floats]:
    """Return mean and variance of the sure colours near the band's n pixels: (n, 3), (n,)."""
    colours = part[::step, ::step].astype(np.float32)
    squares = np.square(colours).sum(axis=-1, keepdims=True)
    nearby = fill_smoothly(np.dstack([colours, squares]), sure[::step, ::step])
    y, x = np.nonzero(band)
    near_band = nearby[y // step, x // step]
    mean = near_band[:, :3]
    return mean, np.maximum(near_band[:, 3] - np.square(mean).sum(axis=-1), 0)

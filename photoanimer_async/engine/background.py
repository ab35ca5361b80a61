"""The two layers of a photo: the person, and the background without the person.

Theory of operation
-------------------
A pixel of the photo is a mix of person and background: ``photo = opacity * person + (1 - opacity) *
background``. The background behind the person is filled in from its surroundings. What is left of
the photo without it is the person's layer, as colour times opacity. If it is put back over the
background, the photo results; if it is moved first, the mixed pixels of hair and edges move without
the background that was seen through them, so there is no halo.

Beside the mask, single hairs and blurred edges remain in the photo. If they stayed in the
background, a ghost would appear when the person moves away. So the background is filled in up to a
margin around the mask, and what differs from it there becomes part of the person: all of it beside
a plain background. Stripes, foliage or text cannot be filled in exactly, and differ, too. Beside
them, only what has the person's colours becomes part of the person, and the mask is sharpened.

A background out of focus has no texture, but it changes smoothly in ways that the fill does not
expect. The fill's error is smooth, too, and reaches the end of the margin, where hairs are rare.
Where it does, the smooth part of the difference is added to the fill. Otherwise, this part would
move along with the person, as a light or dark outline.

The filled background may still be brighter or darker than a mixed pixel allows. It is limited to
what leaves the person a possible colour, so that both layers together are always the photo.
"""

from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Floats
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.texture_fill import fill_smoothly, fill_with_texture, sampling_step
from photoanimer_async.engine.warp import smoothstep

_OPAQUE = 255

_VISIBLE = 0.02
"""Opacity from which a pixel is not used as background."""

_WIDE_MARGIN, _NARROW_MARGIN = 0.10, 0.025
"""Distance from such pixels, in u, within which none are used: beside a plain background, and
beside a textured one, which cannot be filled in so well."""

_LEAST_MARGIN = 4.0
"""Least margin, in pixels."""

_GRAIN, _NEIGHBOURHOOD, _PLAIN = 0.05, 0.25, 7.0
"""Size of structures that count as texture, radius of the area in which it is measured, in u, and
its amount, as root mean square in levels, on a plain background."""

_DOUBT = 0.3
"""Opacity below which, and transparency below which, a mask is wrong beside a textured
background."""

_OUTER = 0.5
"""Distance from the person, relative to the margin, from which hairs are rare."""

_TRUSTED, _WRONG, _AREA = 3.0, 7.0, 0.2
"""Smooth difference of fill and photo out there, in levels, up to which the fill is kept, and from
which the whole difference is its error; and the deviation, in u, of the area in which the
difference is averaged."""

_HAIRS = 5
"""Side, in samples, of a square of which hairs cover less than half."""

_ALIKE = 6
"""Difference, in levels, between two pixels of the same background."""

_SURE, _SOLID = 0.98, 3.0
"""Opacity from which a pixel shows only the person, and the factor by which opacity raises the
share of the person in what differs."""

_RIM = 1.5
"""Distance from the mask, in pixels, within which what differs is the person's."""

_BRIGHTER = 1.3
"""How far a hair may be beyond the person's mean colour, as seen from the background."""

_OFF, _OFF_PART = 8.0, 0.25
"""Distance, in levels, of a mixed pixel from the line between both colours, and its growth with the
length of this line."""


@frozen(eq=False)
class Layers:
    """A part of a photo as two layers.

    Attributes:
        person: RGB times opacity, and opacity, shape (H, W, 4), 0 to 255.
        background: RGB, shape (H, W, 3).
    """

    person: NDArray[np.uint8]
    background: Picture

    @classmethod
    def of(cls, part: Picture, opacity: Floats, unit: float) -> Self:
        """Separate a part of a photo.

        Args:
            part: Shape (H, W, 3).
            opacity: The person's, shape (H, W), 0 to 1.
            unit: u in pixels.
        """
        textured = _textured(part, _distance(opacity), unit)
        opacity = _sharpened(opacity, textured)
        margin = _WIDE_MARGIN + (_NARROW_MARGIN - _WIDE_MARGIN) * textured
        distance = _distance(opacity)
        far = distance / np.maximum(margin * np.float32(unit), _LEAST_MARGIN)
        background = _filled(part, far >= 1, unit)
        background = _without_smooth_error(background, part, far, distance, unit)
        opacity, background = _with_remains(
            opacity, far, part, background, distance=distance, textured=textured, unit=unit
        )
        alpha = np.ceil(opacity * np.float32(_OPAQUE) - np.float32(0.01)).astype(np.uint8)
        mixed = (alpha > 0) & (alpha < _OPAQUE)
        person = np.asarray(cv2.copyTo(np.dstack([part, alpha]), alpha), np.uint8)
        cv2.copyTo(part, (alpha == 0).astype(np.uint8), background)
        person[mixed, :3], background[mixed] = _separate(
            part[mixed], alpha[mixed], background[mixed]
        )
        return cls(person, background)


def _distance(opacity: Floats) -> Floats:
    """Return the distance from visible parts of the person, shape (H, W), in pixels."""
    outside = (opacity < _VISIBLE).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 3), np.float32)


def _textured(part: Picture, distance: Floats, unit: float) -> Floats:
    """Return how much texture the background has near each pixel, shape (H, W), 0 to 1."""
    step = sampling_step(unit)
    samples = part[::step, ::step].astype(np.float32)
    coarse = cv2.GaussianBlur(samples, (0, 0), _GRAIN * unit / step)
    visible = distance[::step, ::step] >= _WIDE_MARGIN * unit
    sums = np.dstack([np.square(samples - coarse).max(axis=-1) * visible, visible])
    shown = cv2.GaussianBlur(sums.astype(np.float32), (0, 0), _NEIGHBOURHOOD * unit / step)
    detail = np.sqrt(shown[..., 0] / np.maximum(shown[..., 1], np.float32(1e-6)))
    textured = smoothstep((detail - _PLAIN) / np.float32(_PLAIN))
    return np.asarray(cv2.resize(textured, distance.shape[::-1]), np.float32)


def _sharpened(opacity: Floats, textured: Floats) -> Floats:
    """Return a mask, shape (H, W), that is sharper where the background has texture."""
    mixed = (opacity > 0) & (opacity < 1)
    doubt = _DOUBT * textured[mixed]
    sharpened = opacity.copy()
    sharpened[mixed] = np.clip((opacity[mixed] - doubt) / (1 - 2 * doubt), 0, 1)
    return sharpened


def _filled(part: Picture, visible: NDArray[np.bool_], unit: float) -> Picture:
    """Return the part with everything filled in that is not visible, shape (H, W)."""
    step = sampling_step(unit)
    smooth = fill_smoothly(part[::step, ::step], visible[::step, ::step])
    small = np.clip(np.round(smooth), 0, 255).astype(np.uint8)
    filled = np.asarray(cv2.resize(small, part.shape[1::-1]), np.uint8)
    filled[visible] = part[visible]
    return fill_with_texture(filled, visible.astype(np.float32), unit)


def _without_smooth_error(
    background: Picture, part: Picture, far: Floats, distance: Floats, unit: float
) -> Picture:
    """Return a background that was filled in, without the smooth part of the fill's error.

    Args:
        background: The part with the background filled in up to the margin, shape (H, W, 3).
        part: The photo, shape (H, W, 3).
        far: Distance from the person, relative to the margin, shape (H, W).
        distance: Distance from the person, in pixels, shape (H, W).
        unit: u in pixels.
    """
    step = sampling_step(unit)
    samples = np.s_[::step, ::step]
    seen, outer = distance[samples] > _RIM, (far[samples] > _OUTER) & (far[samples] < 1)
    differing = part[samples] - background[samples].astype(np.float32)
    differing = np.where(seen[..., None], differing, fill_smoothly(differing, seen))
    levels = np.clip(np.round(differing + 128), 0, 255).astype(np.uint8)
    smooth = cv2.blur(cv2.medianBlur(levels, _HAIRS).astype(np.float32) - 128, (3, 3))
    sums = np.dstack([np.abs(smooth).max(axis=-1) * outer, outer]).astype(np.float32)
    near = cv2.GaussianBlur(sums, (0, 0), _AREA * unit / step)
    error = near[..., 0] / np.maximum(near[..., 1], np.float32(1e-4))
    smooth = smooth * smoothstep((error - _TRUSTED) / np.float32(_WRONG - _TRUSTED))[..., None]
    change = cv2.resize(np.round(smooth).astype(np.int16), part.shape[1::-1])
    result = cv2.add(background, change, dtype=cv2.CV_8U)
    return np.asarray(cv2.copyTo(part, (far >= 1).astype(np.uint8), result), np.uint8)


def _with_remains(
    opacity: Floats,
    far: Floats,
    part: Picture,
    background: Picture,
    *,
    distance: Floats,
    textured: Floats,
    unit: float,
) -> tuple[Floats, Picture]:
    """Return an opacity that includes what would remain of the person, and the background.

    A pixel that differs from the background that was filled in becomes as opaque as the difference
    requires, if that belongs to the person. In the outer half of the margin, the fill passes into
    the photo.

    Args:
        opacity: The person's, shape (H, W), 0 to 1.
        far: Distance from the person, relative to the margin, shape (H, W).
        part: The photo, shape (H, W, 3).
        background: The same with the background filled in up to the margin.
        distance: Distance from the person, in pixels, shape (H, W).
        textured: How much texture the background has, shape (H, W), 0 to 1.
        unit: u in pixels.
    """
    beside = (far < 1) & (opacity < 1)
    filled = background[beside].astype(np.float32)
    persons = np.maximum(1 - textured[beside], np.minimum(opacity[beside] * _SOLID, 1))
    persons = np.maximum(persons, smoothstep(2 - distance[beside] / np.float32(_RIM)))
    share = np.maximum(persons, _likeness(part, filled, opacity, beside, unit))
    share *= smoothstep(2 - 2 * far[beside])
    change = (part[beside] - filled) * share[:, None]
    behind = part[beside] - change
    room = np.where(change > 0, 255 - behind, behind)
    required = (np.abs(change) / np.maximum(room, 1)).max(axis=-1)
    different = smoothstep(np.abs(change).max(axis=-1) / np.float32(_ALIKE) - 1)
    result, passing = opacity.copy(), background.copy()
    result[beside] = np.maximum(result[beside], np.minimum(required * different, 1))
    passing[beside] = np.clip(np.round(behind), 0, 255)
    return result, passing


def _likeness(
    part: Picture, filled: Floats, opacity: Floats, beside: NDArray[np.bool_], unit: float
) -> Floats:
    """Return whether pixels look like a mix of the filled background and the person, (n,), 0 to 1.

    Args:
        part: The photo, shape (H, W, 3).
        filled: The background at the pixels, shape (n, 3).
        opacity: The person's, shape (H, W).
        beside: Which pixels these are, shape (H, W).
        unit: u in pixels.
    """
    step = sampling_step(unit)
    person = fill_smoothly(part[::step, ::step], opacity[::step, ::step] > _SURE)
    y, x = np.nonzero(beside)
    across, change = person[y // step, x // step] - filled, part[beside] - filled
    squared = np.square(across).sum(axis=-1)
    along = np.clip((change * across).sum(axis=-1) / np.maximum(squared, 1), 0, _BRIGHTER)
    off = np.sqrt(np.square(change - across * along[:, None]).sum(axis=-1))
    return smoothstep(2 - off / (_OFF + _OFF_PART * np.sqrt(squared)))


def _separate(
    photo: NDArray[np.uint8], alpha: NDArray[np.uint8], background: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the person's share of mixed pixels, and a background that is possible behind it.

    All colours have the shape (n, 3), the opacity `alpha` has (n,), from 1 to 254.
    """
    colours, opaque = photo.astype(np.float32), alpha[:, None].astype(np.float32)
    through = 1 - opaque / np.float32(_OPAQUE)
    possible = np.clip(background, (colours - opaque) / through, colours / through)
    behind = np.round(np.clip(possible, 0, 255))
    person = np.clip(np.round(colours - through * behind), 0, opaque)
    return person.astype(np.uint8), behind.astype(np.uint8)

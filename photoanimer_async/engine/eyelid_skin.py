"""The skin of a closed eyelid, which the photo of an open eye does not show.

The photo around the eye is drawn anew as if the eye were shut. The lid's colour is a membrane: the
smoothest one that meets the bare skin above and below the eye. Lashes, brows, rims of glasses and
glare are no skin, and are left out; make-up and the shadow under a brow are not. On it come the
light of a lid that the eyeball bulges, a crease above it, and the texture of the photo. It covers
the lashes and the liner of the open eye, too. Outside of the lid, the photo stays as it is.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Floats
from photoanimer_async.engine.photo_texture import LUMINANCE
from photoanimer_async.engine.warp import smoothstep

Mask: TypeAlias = NDArray[np.bool_]

_CREASE = 0.115
"""Distance of the crease above the upper lid of the open eye, in widths of the eye."""

_NEAREST, _FARTHEST = 0.085, 0.38
"""Distances from the open eye between which skin is looked for, in widths of the eye."""

_OPEN, _BESIDE, _LASHES = 0.02, 0.05, 0.32
"""Distances from the open eye, in its widths, up to which a pixel is part of it, is covered in any
case, and can be a lash of it."""

_DARK = 0.55
"""Light of lashes, relative to bare skin, up to which they are covered."""

_NOT_BROW = 0.06
"""Distance below the brow, in widths of the eye, from which something dark is not part of it."""

_SHADED = 1.4
"""Light of skin, relative to that beside the eye, from which that lies in a shadow."""

_SIDE = 0.78
"""Distance from the eye's middle, in widths of the eye, beyond which no lash is covered."""

_CLOSE = 0.17
"""Distance, in widths of the eye, of the skin beside it, which can lie in a shadow as a whole."""

_BELOW = 0.5
"""Weight of the skin under the eye: a lid is more like what is above it."""


_SMALL = 24
"""Height of an eye's box, in pixels, in which every pixel of skin counts."""

_SMALLEST_LEVEL = 3


def closed_eyelid(
    colours: Floats,
    x: Floats,
    y: Floats,
    *,
    upper: Floats,
    lower: Floats,
    brow: float,
    width: float,
    grain: Floats,
) -> Floats:
    """Return the photo around an eye with its lid closed, but without lashes, shape (h, w, 3).

    Args:
        colours: The photo around the eye, RGB, shape (h, w, 3).
        x: Position along the eye from its middle, shape (h, w), in pixels.
        y: Position down, shape (h, w), in pixels.
        upper: y of the upper lid at each x, shape (h, w).
        lower: y of the lower lid at each x, shape (h, w).
        brow: y of the brow's lower edge.
        width: Width of the eye, in pixels.
        grain: Grain of the photo, shape (h, w, 3).
    """
    w = np.float32(width)
    light = colours @ LUMINANCE
    away = _distance(x, y, upper, lower, w)
    above_eye = y < (upper + lower) / 2
    near = (away > _NEAREST) & (away < _FARTHEST)
    beside = away < _CLOSE
    over = _bare_skin(light, near & above_eye & (y > brow + 0.03 * w), beside)
    under = _bare_skin(light, near & ~above_eye, beside)
    skin = _membrane(colours, over + under * np.float32(_BELOW), max(0.06 * width, 1.0))
    skin = skin * _light(x, y, upper, lower, w)[..., None] + grain
    clear = cv2.GaussianBlur(over + under, (0, 0), max(0.025 * width, 0.7))
    lid = smoothstep((np.float32(0.26) - away) / np.float32(0.14))
    lid *= np.maximum(clear, smoothstep((np.float32(0.24) - away) / np.float32(0.14)))
    not_brow = y > brow + _NOT_BROW * width
    lashes = _old_lashes(light, away, over + under > 0, not_brow)
    inside = smoothstep((np.float32(_SIDE) - np.abs(x) / w) / np.float32(0.15))
    lid = np.maximum(lid, lashes * inside)
    return np.asarray(np.clip(colours + (skin - colours) * lid[..., None], 0, 255))


def lash_colour(
    colours: Floats, x: Floats, y: Floats, *, upper: Floats, skin: Floats, width: float
) -> Floats:
    """Return the colour of the lashes, RGB: that of the darkest pixels along the upper lid.

    Args:
        colours: The photo around the eye, RGB, shape (h, w, 3).
        x: Position along the eye from its middle, shape (h, w), in pixels.
        y: Position down, shape (h, w), in pixels.
        upper: y of the upper lid at each x, shape (h, w).
        skin: Colours of the closed lid, shape (h, w, 3).
        width: Width of the eye, in pixels.
    """
    edge = (np.abs(x) < 0.45 * width) & (np.abs(y - upper) < max(0.035 * width, 1.0))
    middle = (np.abs(x) < 0.3 * width) & (np.abs(y) < 0.2 * width)
    lid = skin[middle].mean(axis=0) if middle.any() else skin.mean(axis=(0, 1))
    if not edge.any():
        return np.asarray(lid * np.float32(0.4))
    light = colours[edge] @ LUMINANCE
    lash = colours[edge][light <= np.quantile(light, 0.2)].mean(axis=0)
    # Between closed lids there is a shadow, even if the lashes are fair.
    most = 0.50 * max(float(lid @ LUMINANCE), 1.0)
    return np.asarray(lash * min(1.0, most / max(float(lash @ LUMINANCE), 1.0)), np.float32)


def _distance(x: Floats, y: Floats, upper: Floats, lower: Floats, w: np.float32) -> Floats:
    """Return the distance from the open eye and the lashes at its corners, in its widths."""
    eye = (y >= upper) & (y <= lower) & (np.abs(x) <= 0.5 * w)
    corners = (np.abs(y) <= np.float32(0.02) * w) & (np.abs(x) <= np.float32(0.55) * w)
    outside = (~(eye | corners)).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / w)


def _old_lashes(light: Floats, away: Floats, bare: Mask, not_brow: Mask) -> Floats:
    """Return where lashes and liner of the open eye are: dark, and connected with it; (h, w)."""
    if not bare.any():
        return np.zeros_like(light)
    dark = (light < _DARK * np.median(light[bare])) & (away < _LASHES) & not_brow
    dark |= away < _BESIDE
    _, labels = cv2.connectedComponents(dark.astype(np.uint8))
    own = np.isin(labels, labels[away < _OPEN]).astype(np.float32)
    grown = cv2.dilate(own, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(grown, (0, 0), 1.0), np.float32)


def _bare_skin(light: Floats, area: Mask, beside: Mask) -> Floats:
    """Return the confidence that pixels of an area show skin, not hair, rims or glare, 0 to 1.

    Skin is compared with what is typical of the area, or of its part `beside` the eye if that is
    much darker.
    """
    typical = max(float(np.quantile(light[area], 0.65)), 1.0) if area.any() else 1.0
    if (area & beside).any():
        shaded = float(np.quantile(light[area & beside], 0.65))
        typical = min(typical, max(_SHADED * shaded, 1.0))
    part = light / np.float32(typical)
    glare = (light - np.float32(typical)) / np.float32(max(255 - typical, 1))
    known = smoothstep((part - 0.46) / 0.2) * smoothstep((0.75 - glare) / 0.25) * area
    # A pixel beside hair or a rim has some of its colour.
    if min(light.shape) <= _SMALL:
        return np.asarray(known, np.float32)
    return np.asarray(cv2.erode(known, np.ones((3, 3), np.uint8)), np.float32)


def _membrane(colours: Floats, known: Floats, blur: float) -> Floats:
    """Fill in colours where the confidence is 0, by push and pull through a pyramid."""
    soft = np.dstack([colours * known[..., None], known]) + np.float32(1e-6)
    levels = [cv2.GaussianBlur(soft, (0, 0), blur)]
    while min(levels[-1].shape[:2]) > _SMALLEST_LEVEL:
        levels.append(cv2.pyrDown(levels[-1]))
    filled = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-6)
    for level in reversed(levels[:-1]):
        rough = cv2.pyrUp(filled, dstsize=(level.shape[1], level.shape[0]))
        share = np.clip(level[..., 3:] * 2, 0, 1)
        filled = rough + (level[..., :3] / np.maximum(level[..., 3:], 1e-6) - rough) * share
    return np.asarray(cv2.GaussianBlur(filled, (0, 0), blur), np.float32)


def _light(x: Floats, y: Floats, upper: Floats, lower: Floats, w: np.float32) -> Floats:
    """Return the light on a closed lid relative to flat skin, with the crease above it."""
    across = np.clip(1 - (x / (np.float32(0.5) * w)) ** 2, 0, 1)
    crease = upper - w * (np.float32(0.4 * _CREASE) + np.float32(0.6 * _CREASE) * across)
    depth = (y - crease) / np.maximum(lower - crease, np.float32(0.1) * w)
    dome = np.float32(0.04) * np.sin(np.pi * np.clip(depth, 0, 1)) * across
    foot = np.float32(0.07) * smoothstep((depth - np.float32(0.6)) / np.float32(0.4))
    wide = np.where(y < crease, np.float32(0.07), np.float32(0.04)) * w
    fold = np.float32(0.03) * np.exp(-0.5 * ((y - crease) / wide) ** 2) * across
    return np.asarray(1 + dome - foot - fold, np.float32)

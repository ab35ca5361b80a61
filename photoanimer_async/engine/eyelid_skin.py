"""The skin of a closed eyelid, which the photo of an open eye does not show.

It is interpolated along the eye between the mean colours of the skin just above the upper lashes
and just below the lower ones. The means use only pixels of typical lightness and are smoothed along
the eye, so that brows, lashes, rims of glasses and glare leave no streaks. The lid is lightest in
its middle, where the eyeball bulges, and has the grain of the photo.
"""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from photoanimer_async.engine.warp import smoothstep

Floats: TypeAlias = NDArray[np.float32]

_BINS = 48
"""Number of places along the eye at which means are taken."""

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def grain(shape: tuple[int, int], blur: float) -> Floats:
    """Return noise of about unit deviation, always the same."""
    noise = np.random.default_rng(7).standard_normal(shape, np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), blur) * np.float32(2 * blur), np.float32)


def eyelid_colours(
    colours: Floats, x: Floats, y: Floats, *, upper: Floats, lower: Floats, width: float
) -> tuple[Floats, Floats]:
    """Return the colours of a closed lid.

    Args:
        colours: The photo around the eye, RGB, shape (h, w, 3).
        x: Position along the eye from its middle, shape (h, w), in pixels.
        y: Position down, shape (h, w), in pixels.
        upper: y of the upper lid at each x, shape (h, w).
        lower: y of the lower lid at each x, shape (h, w).
        width: Width of the eye, in pixels.

    Returns:
        Colours of the lid at each pixel, shape (h, w, 3), and of the lashes, (3,).
    """
    w = width
    light = colours @ _LUMINANCE
    inside = np.abs(x) < 0.6 * w
    under = inside & (y > lower + 0.07 * w) & (y < lower + 0.24 * w)
    over = inside & (y < upper - 0.03 * w) & (y > upper - 0.24 * w)
    nearness = np.exp((y - upper) / np.float32(0.10 * w))
    beneath = _along_eye(colours, x, _bare_skin(light, under), w)
    above = _along_eye(colours, x, _bare_skin(light, over) * nearness, w)
    depth = smoothstep((y - upper) / np.maximum(lower - upper, 1))[..., None]
    share = 0.25 + 0.35 * depth
    skin = above * (1 - share) + beneath * share
    bulge = 1 - (x / (0.5 * w)) ** 2
    dome = 0.95 + 0.11 * np.clip(bulge, -0.3, 1) * np.sin(np.pi * depth[..., 0])
    fine = colours - cv2.GaussianBlur(colours, (0, 0), 1.2)
    roughness = float(fine[under].std()) if under.any() else 0.0
    skin = skin * dome[..., None] + grain(light.shape, 0.7)[..., None] * min(roughness, 5)
    edge = inside & (np.abs(y - upper) < max(0.03 * w, 1)) & (lower - upper > 0.05 * w)
    dark = colours[edge][np.argsort(light[edge], kind="stable")[: max(1, edge.sum() // 4)]]
    lash = dark.mean(axis=0) if len(dark) else colours.reshape(-1, 3).min(axis=0)
    return np.clip(skin, 0, 255).astype(np.float32), lash.astype(np.float32)


def _bare_skin(light: Floats, area: NDArray[np.bool_]) -> Floats:
    """Return the confidence that pixels of an area show skin, not hair, rims or glare, 0 to 1."""
    if not area.any():
        return np.zeros_like(light)
    typical = max(float(np.quantile(light[area], 0.7)), 1.0)
    part = light / np.float32(typical)
    return np.asarray(smoothstep((part - 0.72) / 0.2) * smoothstep((1.6 - part) / 0.3) * area)


def _along_eye(colours: Floats, x: Floats, weight: Floats, w: float) -> Floats:
    """Return the smoothed weighted mean colour along the eye at each pixel's x."""
    place = np.clip((x / (1.44 * w) + 0.5) * _BINS, 0, _BINS - 1)
    index = place.astype(np.int64).ravel()
    sums = [
        np.bincount(index, (part * weight).ravel(), _BINS)
        for part in (*np.moveaxis(colours, -1, 0), np.ones_like(x))
    ]
    table = np.stack(sums, axis=1)
    if table[:, 3].sum() <= 0:
        return np.broadcast_to(np.median(colours, axis=(0, 1)), colours.shape)
    offset = np.arange(_BINS)[:, None] - np.arange(_BINS)[None]
    # The broad kernel fills bins with little weight.
    kernel = np.exp(-0.5 * (offset / 3.0) ** 2) + 1e-3 * np.exp(-0.5 * (offset / 12.0) ** 2)
    smooth = kernel @ table
    means = smooth[:, :3] / np.maximum(smooth[:, 3:], 1e-9)
    at = np.clip((x / (1.44 * w) + 0.5) * _BINS - 0.5, 0, _BINS - 1)
    low = np.minimum(at.astype(np.int64), _BINS - 2)
    part = (at - low)[..., None]
    return np.asarray(means[low] * (1 - part) + means[low + 1] * part, np.float32)

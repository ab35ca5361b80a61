"""The grain, the blur and the toning of a photo, for everything that is drawn into it.

Drawn skin, lashes and teeth must look as if the same camera had taken them. All are estimated once
for each photo:

* **Grain** is noise with the spectrum of a patch of skin: white noise, convolved with the fine
  structure of the patch (discrete spot noise). It has the photo's grain and the skin's pores, in
  its colours, but no line or mark of the patch.
* **Blur** is the width of an ideal edge in the photo. An edge of height h that is blurred by a
  Gaussian of deviation s has a slope of at most ``h / (s * sqrt(2 * pi))``. The eyes have the
  sharpest edges of a face.
* **Toning**: in a grey or sepia photo, all colours are functions of their lightness.
"""

from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, resample

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)

_PATCHES = (*lm.CHEEK_LEFT, *lm.CHEEK_RIGHT, 151, 118, 347)
"""Landmarks on the cheeks, the forehead and under the eyes."""

_PATCH = 0.18
"""Side of a patch of skin, in u."""

_FINE = 0.03
"""Deviation of the blur, in u, that separates fine structure from shading."""

_TILE = 128
"""Side of the periodic tile of grain, in pixels."""

_MOST_GRAIN = 14.0
"""Largest deviation of the grain, in levels: more is a pattern, not grain."""

_COLOURLESS = 0.02
"""Deviation of colours from a toning, relative to the mean luminance: 0.033 and more in colour
photos, even of a face alone."""

_SMALLEST_EYE = 4
"""Side of an eye's box, in pixels, from which its blur is measured."""

_MORE_GRAIN = 1.4
"""How much stronger than in the patch it is taken from the grain may be."""

_WIDEST_BLUR = 0.04
"""Largest blur, in u."""


@frozen(eq=False)
class PhotoTexture:
    """The texture of one photo.

    Attributes:
        blur: Deviation of the blur of an edge, in pixels, at least 0.5.
    """

    blur: float
    _tone: Array | None  # of a grey or toned photo: coefficients of each channel, (3, 3)
    _tile: Floats  # (_TILE, _TILE, 3), periodic, mean 0

    @classmethod
    def of(cls, picture: Picture, landmarks: Array, unit: float) -> Self:
        """Estimate the texture of a photo from a face; `unit` is u in pixels."""
        return cls(
            _edge_blur(picture, landmarks, unit),
            _tone_of(picture),
            _grain_tile(picture, landmarks, unit),
        )

    @property
    def monochrome(self) -> bool:
        """Whether the photo is grey or toned."""
        return self._tone is not None

    def toned(self, colour: Array) -> Array:
        """Return a colour, shape (3,), as it is in the photo."""
        if self._tone is None:
            return colour
        light = float(colour @ LUMINANCE)
        return np.clip([np.polyval(channel, light) for channel in self._tone], 0, 255)

    def grain_of(self, box: Box) -> Floats:
        """Return the grain of the pixels of a box, shape (height, width, 3)."""
        rows = np.arange(box.top, box.bottom) % _TILE
        columns = np.arange(box.left, box.right) % _TILE
        return np.asarray(self._tile[np.ix_(rows, columns)])

    def grain_at(self, positions: Field) -> Floats:
        """Return the grain at positions in the photo, shape (h, w, 2); (h, w, 3)."""
        place = np.mod(positions, np.float32(_TILE))
        return resample(self._tile, place, cv2.INTER_CUBIC, cv2.BORDER_WRAP)


def _grain_tile(picture: Picture, landmarks: Array, unit: float) -> Floats:
    """Return noise with the spectrum of the most typical patch of skin."""
    side = int(np.clip(round(_PATCH * unit), 8, _TILE))
    fine = [
        patch - cv2.GaussianBlur(patch, (0, 0), max(_FINE * unit, 1.2))
        for spot in landmarks[list(_PATCHES), :2]
        if (patch := _patch(picture, spot, side)) is not None
    ]
    if not fine:
        return np.zeros((_TILE, _TILE, 3), np.float32)
    # The smoothest patches have neither wrinkles nor hair, but less grain than most.
    smoothest = sorted(fine, key=lambda patch: float(patch.std()))
    chosen, typical = smoothest[len(fine) // 4], smoothest[len(fine) * 3 // 5]
    more = min(float(typical.std()) / max(float(chosen.std()), 1e-6), _MORE_GRAIN)
    window = np.hanning(side + 2)[1:-1]
    window = (window[:, None] * window)[..., None]
    spot_ = chosen * window / np.sqrt(np.square(window).sum())
    noise = np.random.default_rng(7).standard_normal((_TILE, _TILE, 1))
    spectrum = np.fft.rfft2(spot_, (_TILE, _TILE), axes=(0, 1))
    tile = np.fft.irfft2(spectrum * np.fft.rfft2(noise, axes=(0, 1)), (_TILE, _TILE), axes=(0, 1))
    tile = (tile - tile.mean(axis=(0, 1))) * more
    return np.asarray(tile * min(1.0, _MOST_GRAIN / max(float(tile.std()), 1e-6)), np.float32)


def _patch(picture: Picture, spot: Array, side: int) -> Floats | None:
    """Return the pixels of a square around a spot, or None if it extends over the border."""
    left, top = (round(float(value) - side / 2) for value in spot)
    box = Box(left, top, left + side, top + side)
    return picture[box.slices].astype(np.float32) if box & Box.of(picture) == box else None


def _tone_of(picture: Picture) -> Array | None:
    """Return each channel as a polynomial of the luminance, (3, 3), if the photo has no colours."""
    small = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    pixels = small.reshape(-1, 3).astype(np.float64)
    light = pixels @ LUMINANCE
    if np.ptp(light) < 1:
        return None
    tone = np.array([np.polyfit(light, channel, 2) for channel in pixels.T])
    errors = [np.polyval(c, light) - channel for c, channel in zip(tone, pixels.T, strict=True)]
    return tone if np.sqrt(np.square(errors).mean()) < _COLOURLESS * light.mean() else None


def _edge_blur(picture: Picture, landmarks: Array, unit: float) -> float:
    """Return the deviation of the blur at the sharper one of both eyes, in pixels."""
    most = max(_WIDEST_BLUR * unit, 0.5)
    found = []
    for group in (lm.EYE_LEFT_UPPER + lm.EYE_LEFT_LOWER, lm.EYE_RIGHT_UPPER + lm.EYE_RIGHT_LOWER):
        box = Box.around(landmarks[list(group), :2], 0.04 * unit) & Box.of(picture)
        if min(box.width, box.height) < _SMALLEST_EYE:
            continue
        light = picture[box.slices].astype(np.float32) @ LUMINANCE
        # Grain must not count as edges.
        smooth = 0.5 if unit < 2 * _TILE else 1.0
        light = cv2.GaussianBlur(light, (0, 0), smooth).astype(np.float32)
        across, down = (
            cv2.Sobel(light, cv2.CV_32F, 1 - axis, axis, scale=1 / 8) for axis in (0, 1)
        )
        slope = float(np.quantile(np.hypot(across, down), 0.99))
        low, high = np.quantile(light, [0.02, 0.98])
        found.append(float(high - low) / max(slope, 1e-3) / np.sqrt(2 * np.pi))
    return float(np.clip(min(found, default=0.5), 0.5, most))

"""Teeth, tongue and background of a mouth, drawn once for each photo in its colours.

Only the upper teeth are drawn, and none if the photo shows teeth of its own: a second row, or a
second set, gives a drawn mouth away. Everything has the photo's blur, and its grain.

Sizes are those of an adult in front view, with about 90 mm between the outer corners of the eyes:
central incisors 8.5 mm wide and 10 mm long, lateral incisors 6.5 mm, canines 7.5 mm wide (each
narrowed by the curve of the arch).
"""

from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.lips import LipEdges, Lips, RestingLips
from photoanimer_async.engine.mouth_palette import MouthPalette
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Field, resample, smooth_ramp, smoothstep

_UPPER_TEETH = np.array([0.0, 0.092, 0.160, 0.222, 0.268, 0.306, 0.338, 0.364])
"""Borders between the upper teeth from the middle outwards, in u."""
_UPPER_EDGES = np.array([0.0, -0.010, 0.002, -0.012, -0.020, -0.022, -0.024])
"""Length of the upper teeth relative to the middle ones, in u."""
_TOOTH_HEIGHT = 0.115
_VISIBLE = 0.042
"""Length of the upper teeth below the upper lip of a closed mouth, in u."""

_TOP, _BOTTOM = -0.34, 0.12
"""Vertical extent of both layers around the lip's edge, in u."""

_SHADOW = 0.07
"""Height of the upper lip's shadow, in u."""

_LINING = 0.05
"""Height of the lower lip's inside that is visible, in u."""

_SHUT, _WIDE = 0.10, 0.16
"""How far the jaw has dropped, in u, when the tongue begins to be visible, and when it is."""


@frozen(eq=False)
class MouthLayers:
    """The drawn layers of a mouth's interior."""

    _unit: float
    _half_width: float
    _middle: float
    _upper_lip: float
    _lower_lip: float
    _scale: float  # pixels of a layer for each u
    _skull: Floats | None  # upper teeth and gum: colour times alpha, alpha 0 to 1; (h, w, 4)
    _jaw: Floats  # tongue
    _palette: MouthPalette
    _texture: PhotoTexture

    @classmethod
    def of(
        cls,
        picture: Picture,
        landmarks: Array,
        lips: RestingLips,
        texture: PhotoTexture,
        *,
        unit: float,
        half_width: float,
        teeth: bool,
    ) -> Self:
        """Draw the layers of a mouth.

        Args:
            picture: The photo.
            landmarks: The face's landmarks, shape (478, 3).
            lips: The lips in the photo.
            texture: The photo's texture.
            unit: u in pixels.
            half_width: Distance from the middle of the mouth to a corner, in pixels.
            teeth: Whether to draw teeth.
        """
        palette = MouthPalette.of(picture, landmarks, texture)
        # Layers have a higher resolution than the photo, so that sampling keeps their edges sharp.
        scale = max(unit * 1.25, 48.0)
        reach = max(half_width / unit, 0.2) * 1.15
        x = np.arange(-np.ceil(reach * scale), np.ceil(reach * scale) + 1) / scale
        y = np.arange(np.floor(_TOP * scale), np.ceil(_BOTTOM * scale) + 1) / scale
        grid_x, grid_y = np.meshgrid(x, y)
        arch = float(np.clip(half_width / unit / 0.29, 0.85, 1.25))
        blur = max(1 / scale, texture.blur / unit)
        skull = _skull_layer(grid_x / arch, grid_y, blur, palette) if teeth else None
        return cls(
            unit, half_width, lips.middle, lips.upper, lips.lower, scale,
            None if skull is None else skull.astype(np.float32),
            _jaw_layer(grid_x / arch, grid_y, palette).astype(np.float32), palette, texture,
        )  # fmt: skip

    @property
    def seam(self) -> Floats:
        """Colour of the line between closed lips, shape (3,)."""
        return (self._palette.tongue * 0.72).astype(np.float32)

    def colours(
        self, x: Floats, y: Floats, positions: Field, lips: Lips, edges: LipEdges
    ) -> Floats:
        """Return the colours at positions in mouth coordinates.

        Args:
            x: Horizontal positions, in pixels, shape (h, w).
            y: Vertical positions, in pixels, shape (h, w).
            positions: The same in the picture, shape (h, w, 2).
            lips: The lips' edges.
            edges: The lips' edges at each position.

        Returns:
            RGB, shape (h, w, 3), 0 to 255.
        """
        t, column = self._columns(x)
        colour = np.broadcast_to(self._palette.dark, (*x.shape, 3)).astype(np.float32)
        # In a mouth that is hardly open, tongue and lining are in the dark.
        wide = smooth_ramp((lips.jaw / self._unit - _SHUT) / (_WIDE - _SHUT))
        if wide:
            self._add(colour, self._jaw, column, y - np.float32(self._lower_lip + lips.jaw), wide)
            near = 1 - smoothstep((edges.lower - y) / np.float32(_LINING * self._unit))
            lining = self._palette.lining.astype(np.float32) - colour
            colour += lining * (near * np.float32(wide))[..., None]
        if self._skull is not None:
            self._add(colour, self._skull, column, y - np.float32(self._upper_lip), 1.0)
        side = 1 + np.float32(self._palette.slope) * t
        corner = 1 - 0.25 * smoothstep((np.abs(t) - 0.5) / 0.7)
        under = smoothstep((y - edges.upper) * np.float32(1 / (_SHADOW * self._unit)))
        light = side * corner * (np.float32(0.80) + np.float32(0.20) * under)
        shaded = np.maximum(colour * light[..., None], self._palette.black.astype(np.float32))
        # Skin has pores as well, and shadows have less grain.
        grain = self._texture.grain_at(positions) * np.float32(0.7)
        lit = np.clip(shaded.max(axis=2, keepdims=True) / self._palette.skin_light, 0.25, 1)
        return np.asarray(shaded + grain * lit, np.float32)

    def _columns(self, x: Floats) -> tuple[Floats, Floats]:
        """Return positions from -1 at the left corner to 1 at the right, and columns of layers."""
        half = np.float32(self._half_width)
        # On a turned face, the middle of the lips is not midway between the corners.
        lean = np.float32(np.clip(self._middle / self._half_width, -0.5, 0.5))
        t = np.clip(x / half, -1.2, 1.2)
        centred = (t - lean * (1 - np.minimum(t * t, 1))) * half
        middle = np.float32((self._jaw.shape[1] - 1) / 2)
        return t, centred * np.float32(self._scale / self._unit) + middle

    def _add(
        self, target: Floats, layer: Floats, column: Floats, below: Floats, shown: float
    ) -> None:
        """Draw a layer over colours, in place, at distances below its lip's edge, in pixels."""
        row = below * np.float32(self._scale / self._unit)
        place = np.dstack([column, row - np.float32(np.floor(_TOP * self._scale))])
        found = resample(layer, place) * np.float32(shown)
        target *= 1 - found[..., 3:]
        target += found[..., :3]


def _tooth_of(x: Array, edges: Array) -> tuple[NDArray[np.intp], Array]:
    """Return the index of the tooth at each x, and the position in it, -1 to 1."""
    index = np.clip(np.searchsorted(edges, np.abs(x), side="right") - 1, 0, len(edges) - 2)
    width = edges[index + 1] - edges[index]
    return index, np.clip((np.abs(x) - edges[index]) / width * 2 - 1, -1, 1)


def _gaps(x: Array, edges: Array, blur: float) -> Array:
    """Return the darkness between teeth, 0 to 1."""
    width = max(0.0045, 0.45 * blur)
    lines = [np.exp(-(((np.abs(x) - edge) / width) ** 2)) for edge in edges]
    return np.asarray(np.minimum(np.sum(lines, axis=0), 1) * min(0.0045 / width * 1.3, 1))


def _composite(layers: list[tuple[Array, Array]]) -> Array:
    """Composite layers of colour (h, w, 3) and alpha (h, w), the last on top."""
    result = np.zeros((*layers[0][1].shape, 4))
    for colour, alpha in layers:
        top = np.dstack([colour * alpha[..., None], alpha])
        result = result * (1 - alpha[..., None]) + top
    return result


def _tooth_colour(palette: MouthPalette, light: Array) -> Array:
    """Return the colour of teeth in light of 0 to 1, shape (h, w)."""
    return palette.shade + (palette.tooth - palette.shade) * np.clip(light, 0, 1)[..., None]


def _skull_layer(x: Array, y: Array, blur: float, palette: MouthPalette) -> Array:
    index, place = _tooth_of(x, _UPPER_TEETH)
    edge = (
        _VISIBLE
        - 0.045 * np.minimum(np.abs(x) / 0.28, 1.15) ** 2
        + _UPPER_EDGES[index]
        - 0.010 * place**4
    )
    tooth = smoothstep((edge - y) / (2 * blur) + 0.5)
    within = smoothstep((0.36 - np.abs(x)) / 0.06)
    neck = edge - _TOOTH_HEIGHT + 0.018 * place**2
    gum = smoothstep((neck - y) / (0.012 + blur) + 0.5)
    height = np.clip((edge - y) / _TOOTH_HEIGHT, 0, 1)
    light = (1.0 - 0.10 * height) * (1 - 0.42 * (x / 0.33) ** 2) * (1 - 0.06 * place**2)
    light *= 1 - 0.17 * _gaps(x, _UPPER_TEETH, blur)
    uneven = np.random.default_rng(5).uniform(-0.035, 0.035, (2, len(_UPPER_TEETH)))
    light *= 1 + uneven[(x > 0).astype(int), index]
    light *= 1 - 0.10 * smoothstep((0.16 - height) / 0.16)
    teeth = _tooth_colour(palette, light)
    gums = palette.gum * np.clip(0.9 - 0.5 * (x / 0.3) ** 2, 0.2, 1)[..., None]
    colour = teeth * (1 - gum[..., None]) + gums * gum[..., None]
    return _composite([(colour, tooth * within)])


def _jaw_layer(x: Array, y: Array, palette: MouthPalette) -> Array:
    """Draw the tongue: a broad mound behind the lower lip, lightest where it is nearest."""
    across = np.clip(np.abs(x) / 0.27, 0, 1.3)
    top = -0.175 + 0.16 * across**2.2
    tongue = smoothstep((y - top) / 0.09 + 0.3) * smoothstep((1.12 - across) / 0.4)
    groove = 1 - 0.14 * np.exp(-((x / 0.025) ** 2)) * smoothstep((y - top) / 0.08)
    lift = 0.45 + 0.55 * smoothstep((y - top) / 0.13)
    foot = 1 - 0.35 * smoothstep((y + 0.035) / 0.05)  # behind the lower lip it is dark again
    flesh = palette.tongue * (groove * lift * foot)[..., None]
    return _composite([(flesh, tongue)])

"""The mouth: the opening between the lips, and what is visible in it.

Theory of operation
-------------------
A photo of a closed mouth does not show its interior. It is therefore drawn once for each photo, as
two layers in mouth coordinates: the upper teeth, fixed to the skull, and the lower teeth with the
tongue, fixed to the jaw, in front of a dark background. All colours come from the photo: the lips
give the tongue and the background, the skin gives the light on the teeth. So the mouth of a
grey, sepia or dark photo is grey, sepia or dark.

The opening is the area between the inner edges of the lips, as moved by the blendshapes. The upper
lip casts a shadow into it. If the mouth is open in the photo, its teeth are kept: the upper ones
stay with the skull, lower teeth and tongue move with the jaw, the lips move in front of them, and
only what the photo does not show is drawn. If such lips close, a dark line between them covers what
is squeezed there.

All positions are those on the unmoved head.
"""

from typing import Self

import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshapes import SKIN, Blendshapes
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.lips import LipEdges, Lips, MouthAxes, RestingLips
from photoanimer_async.engine.mouth_interior import MouthInterior
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.teeth import MouthLayers
from photoanimer_async.engine.warp import Box, Field, smoothstep

_OPEN_GAP = 0.05
"""Gap between the lips, in widths of the mouth, above which the photo's interior is kept."""

_SLIT, _SMILING = 0.08, 0.27
"""Gap, and half of the distance of the inner corners, both in u, below which parted lips show so
little of their interior that it would be stretched: it is kept only until the mouth opens."""

_SOFT = 0.06
"""Width, in u, of the transition between the sides of the lips beyond the corners."""

_BLUR = 0.018
"""Width of the soft edge of the opening, in u."""

_BLURRED, _SHARP = 4.0, 1.0
"""The same in deviations of the photo's blur beyond that of a sharp photo, in pixels, where that is
wider."""

_DRAWN, _FADED = 0.03, 0.08
"""How much wider than in the photo the mouth is open, in u, when all that is drawn in it shows, and
when a slit's own interior is gone."""

_OVER, _OVER_FROM = 0.012, 0.06
"""How far the opening extends over the lower lip, in u, since landmarks are not exact; and how much
wider the mouth must be open for that, in u."""

_CORNER = 0.1
"""Distance beyond a corner, in u, over which the transition between the sides widens."""

_INVISIBLE = 1 / 255
"""Opacity that changes no pixel."""


@frozen(eq=False)
class Mouth:
    """The mouth of one face, prepared for rendering."""

    _unit: float
    _edge: float  # width of the soft edge of the opening, in pixels
    _axes: MouthAxes
    _lips: RestingLips
    _layers: MouthLayers
    _interior: MouthInterior | None
    _slit: bool  # whether the interior fades as the mouth opens

    @classmethod
    def of(
        cls,
        picture: Picture,
        landmarks: Array,
        coordinates: FaceCoordinates,
        blendshapes: Blendshapes,
        texture: PhotoTexture,
    ) -> Self:
        """Prepare the mouth of a face with these landmarks, shape (478, 3)."""
        axes = MouthAxes.of(landmarks)
        lips = RestingLips.of(landmarks, axes, coordinates, blendshapes)
        is_open = lips.gap > _OPEN_GAP * 2 * axes.half_width
        unit, interior = coordinates.unit, None
        if is_open:
            rest = lips.moved(np.zeros(len(SKIN), np.float32))
            interior = MouthInterior.of(picture, axes, rest, unit)
        slit = lips.gap < _SLIT * unit and axes.half_width < _SMILING * unit
        layers = MouthLayers.of(
            picture, landmarks, lips, texture, unit=unit, half_width=axes.half_width,
            teeth=slit or interior is None or interior.split == 0,
        )  # fmt: skip
        edge = max(_BLUR * unit, _BLURRED * (texture.blur - _SHARP), 1.0)
        return cls(unit, edge, axes, lips, layers, interior, slit)

    def lips(self, coefficients: Floats) -> Lips:
        """Return the lips' edges with these coefficients of `blendshapes.SKIN`."""
        return self._lips.moved(coefficients)

    def opening(self, lips: Lips) -> Box:
        """Return the pixels between the lips."""
        return self._axes.box(lips, 1 + self._edge)

    def lower_side(self, positions: Field, lips: Lips, *, edge: float) -> Floats:
        """Return how much positions, shape (h, w, 2), belong to the lower lip's side; (h, w).

        The value rises from 0 to 1 across the middle of the opening, over `edge` pixels; beyond
        the corners the transition is wider.
        """
        x, y = self._axes.local(positions)
        edges = lips.edges(x)
        beyond = np.maximum(lips.left - x, x - lips.right) / np.float32(_CORNER * self._unit)
        growth = max(_SOFT * self._unit - edge, 0)
        width = edge + smoothstep(beyond + np.float32(0.2)) * np.float32(growth)
        distance = (y - (edges.upper + edges.lower) / 2) * edges.lower_slant
        return smoothstep(distance / width + np.float32(0.5))

    def paint(self, target: Picture, picture: Picture, positions: Field, lips: Lips) -> None:
        """Draw the mouth's interior into part of a frame.

        Args:
            target: The part, shape (h, w, 3); changed in place.
            picture: The photo.
            positions: Each pixel's position on the unmoved head, shape (h, w, 2).
            lips: The lips' edges.
        """
        begun = min(lips.parted / (_DRAWN * self._unit), 1)
        drawn = begun > _INVISIBLE
        if not drawn and self._interior is None:
            return
        x, y = self._axes.local(positions)
        edges = lips.edges(x)
        opening = self._opening(x, y, lips, edges)
        shown = target.astype(np.float32)
        if drawn:
            drawn_colours = self._layers.colours(x, y, positions, lips, edges)
            _blend(shown, drawn_colours, opening * np.float32(begun))
        if self._interior is not None:
            if self._slit:
                opening = opening * np.float32(1 - _clipped(lips.parted / (_FADED * self._unit)))
            for colours, kept in self._interior.parts(picture, lips, edges, x, y):
                _blend(shown, colours.astype(np.float32), opening * kept)
            if lips.parted < 0:
                _blend(shown, self._layers.seam, self._closed_line(x, y, lips, edges))
        target[:] = np.clip(shown + np.float32(0.5), 0, 255).astype(np.uint8)

    def _opening(self, x: Floats, y: Floats, lips: Lips, edges: LipEdges) -> Floats:
        """Return how much of each pixel is between the lips, 0 to 1."""
        within = (y - edges.upper) * edges.upper_slant
        above = (edges.lower - y) * edges.lower_slant
        grown = _OVER * self._unit * _clipped(lips.parted / (_OVER_FROM * self._unit))
        soft = np.float32(1 / self._edge)
        opening = np.clip(within * soft + np.float32(0.5), 0, 1)
        opening *= np.clip((above + np.float32(grown)) * soft + np.float32(0.5), 0, 1)
        # Where the lips touch, their soft edges must not leave a gap.
        opening *= np.clip((edges.lower - edges.upper) * soft, 0, 1)
        return np.asarray(opening * ((x > lips.left) & (x < lips.right)), np.float32)

    def _closed_line(self, x: Floats, y: Floats, lips: Lips, edges: LipEdges) -> Floats:
        """Return the opacity, 0 to 1, of the line between closed lips that the photo shows open."""
        soft = np.float32(1 / self._edge)
        apart = edges.lower - edges.upper
        line = np.float32(1.15) - np.abs(y - edges.upper - apart / 2) * soft
        near = np.float32(1) - apart * soft
        inside = np.minimum(x - lips.left, lips.right - x) / np.float32(self._axes.half_width)
        alpha = np.clip(line, 0, 1) * np.clip(near, 0, 1) * np.clip(inside * 2.5, 0, 1)
        return np.asarray(alpha * np.float32(0.9), np.float32)


def _clipped(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _blend(target: Floats, colours: Floats, alpha: Floats) -> None:
    """Blend colours over a picture, in place."""
    target += (colours - target) * alpha[..., None]

"""The mouth: where the lips part, and what shows between them.

Theory of operation
-------------------
A closed mouth in a photo hides what an opening mouth must show. So it is drawn once for each
photo, as two layers in the mouth's own coordinates: the upper teeth, fixed to the skull, and the
lower teeth with the tongue, fixed to the jaw. Behind them is the dark of the mouth. All colours
derive from the photo: lips give tongue and dark, skin gives the light in which teeth are white;
so a grey or sepia photo has a grey or sepia mouth, and a dim one a dim mouth.

The opening is what lies between the inner edges of both lips after the shapes have moved them.
Under the upper lip it is darker, as the lip's shadow falls there. Where the photo's mouth is open
already, its own teeth are kept: the upper ones stay with the skull, lower teeth and tongue go
with the jaw, the lips move before them, and only what the photo does not show is drawn. Where
such lips close, a line in the shade between them is drawn over what is squeezed there.

All positions here are those of the face before the head's turn.
"""

from typing import Self, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.inside import OwnInside
from photoanimer_async.engine.lips import LipEdges, Lips, MouthAxes, RestingLips
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shapes import SKIN, Shapes
from photoanimer_async.engine.teeth import MouthLayers
from photoanimer_async.engine.warp import Box, Field, smoothstep

Array: TypeAlias = NDArray[np.float64]
Floats: TypeAlias = NDArray[np.float32]

_OWN_GAP = 0.05
"""Least gap between the lips, in widths of the mouth, from which a photo's own teeth are kept."""

_SOFT = 0.06
"""Width, in u, over which the sides of the lips pass into one another beyond the corners."""

_BLUR = 0.018
"""Width of the soft edge of the opening, in u."""

_UNSEEN = 1 / 255
"""Opacity that changes no pixel."""


@frozen(eq=False)
class Mouth:
    """A photo's mouth."""

    _unit: float
    _axes: MouthAxes
    _lips: RestingLips
    _layers: MouthLayers
    _own: OwnInside | None

    @classmethod
    def of(cls, picture: Picture, landmarks: Array, frame: FaceFrame, shapes: Shapes) -> Self:
        """The mouth of a face with the given landmarks, shape (478, 3)."""
        axes = MouthAxes.of(landmarks)
        lips = RestingLips.of(landmarks, axes, frame, shapes)
        layers = MouthLayers.of(picture, landmarks, frame.unit, axes.half_width, lips)
        own = None
        if lips.gap > _OWN_GAP * 2 * axes.half_width:
            rest = lips.moved(np.zeros(len(SKIN), np.float32))
            own = OwnInside.of(picture, axes, rest, frame.unit)
        return cls(frame.unit, axes, lips, layers, own)

    def lips(self, coefficients: Floats) -> Lips:
        """The lips' edges under the coefficients of `shapes.SKIN`."""
        return self._lips.moved(coefficients)

    def opening(self, lips: Lips) -> Box:
        """The pixels between the lips."""
        return self._axes.box(lips, 1 + _BLUR * self._unit)

    def lower_side(self, positions: Field, lips: Lips, *, edge: float) -> Floats:
        """How far positions, shape (h, w, 2), belong to the lower lip's side, 0 to 1; (h, w).

        The sides part along the middle of the opening, over `edge` pixels; beyond the corners
        ever more softly.
        """
        x, y = self._axes.local(positions)
        edges = lips.edges(x)
        beyond = np.maximum(lips.left - x, x - lips.right) / np.float32(0.1 * self._unit)
        growth = max(_SOFT * self._unit - edge, 0)
        width = edge + smoothstep(beyond + np.float32(0.2)) * np.float32(growth)
        distance = (y - (edges.upper + edges.lower) / 2) * edges.lower_slant
        return smoothstep(distance / width + np.float32(0.5))

    def paint(self, target: Picture, picture: Picture, positions: Field, lips: Lips) -> None:
        """Draw the mouth's inside into part of a frame.

        Args:
            target: That part, shape (h, w, 3); painted in place.
            picture: The photo.
            positions: Where each pixel lay before the head's turn, shape (h, w, 2).
            lips: The lips' edges.
        """
        begun = min(lips.parted / (0.03 * self._unit), 1)
        drawn = begun > _UNSEEN
        if not drawn and self._own is None:
            return
        x, y = self._axes.local(positions)
        edges = lips.edges(x)
        opening = self._opening(x, y, lips, edges)
        shown = target.astype(np.float32)
        if drawn:
            _blend(shown, self._drawn(x, y, lips, edges), opening * np.float32(begun))
        if self._own is not None:
            for colours, kept in self._own.parts(picture, lips, edges, x, y):
                _blend(shown, colours.astype(np.float32), opening * kept)
            if lips.parted < 0:
                _blend(shown, self._layers.seam, self._closed_line(x, y, edges))
        target[:] = np.clip(shown + np.float32(0.5), 0, 255).astype(np.uint8)

    def _opening(self, x: Floats, y: Floats, lips: Lips, edges: LipEdges) -> Floats:
        """How much of each pixel lies between the lips, 0 to 1."""
        within = (y - edges.upper) * edges.upper_slant
        above = (edges.lower - y) * edges.lower_slant
        # Landmarks are not exact: the opening reaches a little over the edge it uncovers.
        grown = 0.012 * self._unit * min(max(lips.parted / (0.06 * self._unit), 0), 1)
        soft = np.float32(1 / max(_BLUR * self._unit, 1.0))
        opening = np.clip(within * soft + np.float32(0.5), 0, 1)
        opening *= np.clip((above + np.float32(grown)) * soft + np.float32(0.5), 0, 1)
        # Where the lips touch, their soft edges leave no gap.
        opening *= np.clip((edges.lower - edges.upper) * soft, 0, 1)
        return np.asarray(opening * ((x > lips.left) & (x < lips.right)), np.float32)

    def _closed_line(self, x: Floats, y: Floats, edges: LipEdges) -> Floats:
        """How much of each pixel is the line between lips that were apart in the photo, 0 to 1."""
        soft = np.float32(1 / max(_BLUR * self._unit, 1.0))
        apart = edges.lower - edges.upper
        line = np.float32(1.15) - np.abs(y - edges.upper - apart / 2) * soft
        near = np.float32(1) - apart * soft
        inside = np.float32(1) - np.abs(x) / np.float32(self._axes.half_width)
        alpha = np.clip(line, 0, 1) * np.clip(near, 0, 1) * np.clip(inside * 2.5, 0, 1)
        return np.asarray(alpha * np.float32(0.9), np.float32)

    def _drawn(self, x: Floats, y: Floats, lips: Lips, edges: LipEdges) -> Floats:
        """The inside as it is drawn, with the shadows of the lips on it."""
        under = smoothstep((y - edges.upper) * np.float32(1 / (0.06 * self._unit)))
        over = smoothstep((edges.lower - y) * np.float32(1 / (0.045 * self._unit)))
        shadow = (np.float32(0.86) + np.float32(0.14) * under) * (
            np.float32(0.55) + np.float32(0.45) * over
        )
        return self._layers.draw(x, y, lips.jaw) * shadow[..., None]


def _blend(target: Floats, colours: Floats, alpha: Floats) -> None:
    """Lay colours over part of a picture, in place."""
    target += (colours - target) * alpha[..., None]

"""The photo as frames sample it: one layer, or a person over a background."""

from collections.abc import Sequence
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.background import Layers
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, UpsampledPhoto

_STRIP = 64
"""Rows that are drawn at once: they fit into the processor's cache."""

_REACH = 0.8
"""Distance, in u, beyond which no pixel of a person moves."""


@frozen(eq=False)
class PhotoLayers:
    """A photo, prepared for drawing frames.

    Attributes:
        layer: The photo, or the person's layer, with opacity.
        origin: The position of the layer's first pixel in the photo.
        strips: The parts that can show the layer, a few rows each.
        background: The photo without the person; None if the photo is one layer.
    """

    layer: UpsampledPhoto
    origin: tuple[int, int]
    strips: Sequence[Box]
    background: Picture | None

    @classmethod
    def of(cls, photo: Picture, person: PersonMask | None, unit: float) -> Self:
        """Prepare a photo, shape (H, W, 3), with the person to move in front; u in pixels."""
        if person is None:
            # OpenCV samples four channels much more quickly than three.
            opaque = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2RGBA), np.uint8)
            strips = _strips(opaque[..., 3], (0, 0), 0)
            return cls(UpsampledPhoto.of(opaque), (0, 0), strips, None)
        box = person.region.box
        layers = Layers.of(photo[box.slices], person.opacity, unit)
        background = photo.copy()
        background[box.slices] = layers.background
        origin = (box.left, box.top)
        strips = _strips(layers.person[..., 3], origin, round(_REACH * unit))
        return cls(UpsampledPhoto.of(layers.person), origin, strips, background)

    def draw(self, target: Picture, positions: Field, box: Box) -> None:
        """Draw the layer into a box of a frame that shows the photo.

        Args:
            target: The pixels of the box, shape (height, width, 3).
            positions: Each pixel's source in the photo, shape (height, width, 2).
            box: The pixels in the frame.
        """
        for strip in self.strips:
            shown = strip & box
            if not shown.empty:
                inside = shown.within(box)
                self._draw_strip(target[inside], positions[inside], shown)

    def _draw_strip(self, target: Picture, positions: Field, box: Box) -> None:
        sampled = self.layer.sample(positions, self.origin)
        cv2.cvtColor(sampled, cv2.COLOR_RGBA2RGB, dst=target)
        if self.background is not None:
            through = cv2.extractChannel(sampled, 3)
            cv2.bitwise_not(through, dst=through)
            behind = cv2.cvtColor(through, cv2.COLOR_GRAY2RGB)
            cv2.multiply(self.background[box.slices], behind, dst=behind, scale=1 / 255)
            cv2.add(target, behind, dst=target)


def _strips(alpha: NDArray[np.uint8], origin: tuple[int, int], reach: int) -> list[Box]:
    """Return boxes in the photo with all pixels that a layer can reach.

    Args:
        alpha: The layer's opacity, shape (H, W).
        origin: The position of its first pixel in the photo.
        reach: How far it can move, in pixels.
    """
    height, width = alpha.shape
    left, top = origin
    strips = []
    for row in range(0, height, _STRIP):
        near = alpha[max(row - reach, 0) : row + _STRIP + reach]
        columns = np.flatnonzero(near.any(axis=0))
        if len(columns):
            first, last = max(int(columns[0]) - reach, 0), min(int(columns[-1]) + 1 + reach, width)
            bottom = min(row + _STRIP, height)
            strips.append(Box(left + first, top + row, left + last, top + bottom))
    return strips

"""The photo as frames sample it: one layer, or a person over a background."""

from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine.background import Layers
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, UpsampledPhoto

_STRIP = 64
"""Rows that are drawn at once: they fit into the processor's cache."""


@frozen(eq=False)
class PhotoLayers:
    """A photo, prepared for sampling.

    Attributes:
        layer: The photo, or the person's layer, with opacity.
        origin: The position of the layer's first pixel in the photo.
        background: The photo without the person; None if the photo is one layer.
    """

    layer: UpsampledPhoto
    origin: tuple[int, int]
    background: Picture | None

    @classmethod
    def of(cls, photo: Picture, person: PersonMask | None, unit: float) -> Self:
        """Prepare a photo, shape (H, W, 3), with the person to move in front; u in pixels."""
        if person is None:
            # OpenCV samples four channels much more quickly than three.
            opaque = cv2.cvtColor(photo, cv2.COLOR_RGB2RGBA)
            return cls(UpsampledPhoto.of(np.asarray(opaque, np.uint8)), (0, 0), None)
        box = person.region.box
        layers = Layers.of(photo[box.slices], person.opacity, unit)
        background = photo.copy()
        background[box.slices] = layers.background
        return cls(UpsampledPhoto.of(layers.person), (box.left, box.top), background)

    def draw(self, target: Picture, positions: Field, box: Box) -> None:
        """Draw the pixels of a box.

        Args:
            target: Where they are drawn, shape (height, width, 3).
            positions: Each pixel's source in the photo, or in the layer of the person, shape
                (height, width, 2).
            box: The pixels in the frame.
        """
        background = None if self.background is None else self.background[box.slices]
        for top in range(0, box.height, _STRIP):
            rows = slice(top, top + _STRIP)
            shown = self.layer.sample(positions[rows], self.origin)
            part = target[rows]
            cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB, dst=part)
            if background is not None:
                opacity = cv2.extractChannel(shown, 3)
                through = cv2.cvtColor(cv2.bitwise_not(opacity, dst=opacity), cv2.COLOR_GRAY2RGB)
                cv2.multiply(background[rows], through, dst=through, scale=1 / 255)
                cv2.add(part, through, dst=part)

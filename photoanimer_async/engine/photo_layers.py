"""The photo as frames sample it: one layer, or a person over a background."""

from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine.background import Layers
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, UpsampledPhoto


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

    def sample(self, positions: Field, box: Box) -> Picture:
        """Return the pixels of a box, shape (height, width, 3).

        Args:
            positions: Each pixel's source in the photo, or in the layer of the person, shape
                (height, width, 2).
            box: The pixels in the frame.
        """
        shown = self.layer.sample(positions, self.origin)
        colours = cv2.cvtColor(shown, cv2.COLOR_RGBA2RGB)
        if self.background is None:
            return np.asarray(colours, np.uint8)
        opacity = cv2.extractChannel(shown, 3)
        through = cv2.cvtColor(cv2.bitwise_not(opacity, dst=opacity), cv2.COLOR_GRAY2RGB)
        behind = cv2.multiply(self.background[box.slices], through, scale=1 / 255)
        return np.asarray(cv2.add(colours, behind, dst=colours), np.uint8)

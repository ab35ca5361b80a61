"""Engines: what turns a photo of a face and a motion into frames.

Theory of operation
-------------------
`WarpEngine` knows a photo only, so each frame is the photo resampled through one map, and a few
layers of paint. The map leads from a pixel of the frame back into the photo, through three steps:

1. the head's turn, undone (`head.HeadTurn`): to where the pixel lies on the unturned head;
2. the skin's shapes, undone (`shapes.Shapes`): to where it lies on the face in the photo, once
   for each side of the lips;
3. the lids and the gaze (`eyes.Eye`): to where the pixel's colour comes from.

The first two are smooth and are composed on a lattice that moves along with the head; only around
the lips, where they tear, and around the eyes is anything computed for single pixels. Pixels
outside the head's reach are those of the photo, and a motion of 0 gives the photo itself.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.doubled import DoubledPhoto
from photoanimer_async.engine.eyes import Eye, EyePatch
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.fields import Lip
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.glasses import glasses, hidden_eyes
from photoanimer_async.engine.head import HeadPose, HeadTurn, is_still
from photoanimer_async.engine.lips import Lips
from photoanimer_async.engine.mouth import Mouth
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shapes import FaceMotion, Shapes, skin_coefficients
from photoanimer_async.engine.skin import Skin, SkinPose
from photoanimer_async.engine.warp import Box, Field, Lattice, resample

_SEAM_FINER = 4
"""How much finer the lattice is around the lips."""


class Portrait(Protocol):
    """A face in a photo, ready to move."""

    def frame(self, motion: FaceMotion) -> Picture:
        """The photo with the face moved.

        Args:
            motion: Coefficients of `shapes.NAMES`; a missing one is 0.

        Returns:
            RGB, shape (H, W, 3), of the photo's size; for a motion of 0, equal to the photo.
        """


class Engine(Protocol):
    """What can animate faces."""

    def prepare(self, image: Picture, face: Face) -> Portrait:
        """Do once what all frames of a face need.

        Args:
            image: The photo, RGB, shape (H, W, 3).
            face: A face in it.
        """


@frozen
class WarpEngine:
    """Animates by warping the photo. Needs no neural network, and one core is enough."""

    def prepare(self, image: Picture, face: Face) -> "WarpPortrait":
        """Do once what all frames of a face need; see `Engine`."""
        return WarpPortrait.of(image, face)


@frozen(eq=False)
class WarpPortrait:
    """A face that moves by warps; see `Portrait`."""

    _photo: Picture
    _doubled: DoubledPhoto
    _unit: float
    _head: HeadTurn
    _skin: Skin
    _mouth: Mouth
    _eyes: Sequence[Eye]

    @classmethod
    def of(cls, photo: Picture, face: Face) -> Self:
        """Prepare a face of a photo."""
        landmarks = face.landmarks
        frame = FaceFrame.of(landmarks)
        shapes = Shapes.of(frame.local)
        return cls(
            photo,
            DoubledPhoto.of(photo),
            frame.unit,
            HeadTurn.of(landmarks, frame, photo),
            Skin.of(landmarks, frame, shapes, glasses(photo, landmarks, frame.unit)),
            Mouth.of(photo, landmarks, frame, shapes),
            _seen_eyes(photo, landmarks, frame.unit),
        )

    def frame(self, motion: FaceMotion) -> Picture:
        """The photo with the face moved; see `Portrait`."""
        coefficients = skin_coefficients(motion)
        lips = self._mouth.lips(coefficients)
        skin = self._skin.posed(coefficients) if coefficients.any() else None
        patches = [eye.draw(motion) for eye in self._eyes if not eye.is_still(motion)]
        result = self._photo.copy()
        if skin is None and is_still(motion) and not patches:
            return result
        face = self._skin.lattice.box & Box.of(result)
        sources = _Sources.of(face, self._head.posed(motion), skin, self._unit)
        opening = sources.move_skin(self._mouth, lips)
        layers = [sources.move_eye(patch) for patch in patches]
        part = result[sources.box.slices]
        part[:] = self._doubled.at(sources.positions)
        if opening is not None:
            where, unturned = opening
            self._mouth.paint(part[where.within(sources.box)], self._photo, unturned, lips)
        for where, layer in layers:
            if layer is not None:
                _lay_over(part[where.within(sources.box)], layer)
        return result


@frozen(eq=False)
class _Sources:
    """Where in the photo the pixels of one frame come from.

    Attributes:
        box: The pixels that can differ from the photo's.
        positions: Where each comes from, shape (height, width, 2); at first, where it lay before
            the head's turn.
    """

    box: Box
    positions: Field
    _head: HeadPose
    _skin: SkinPose | None
    _unit: float

    @classmethod
    def of(cls, face: Box, head: HeadPose, skin: SkinPose | None, unit: float) -> Self:
        box = head.box or face
        return cls(box, head.unturned_pixels(box), head, skin, unit)

    def move_skin(self, mouth: Mouth, lips: Lips) -> tuple[Box, Field] | None:
        """Undo the shapes; return the mouth's opening and where its pixels lay before the turn."""
        skin = self._skin
        if skin is None:
            return None
        x, y = self._head.moved(skin.centre)
        lattice = skin.lattice.moved(round(x), round(y))
        nodes = self._head.unturned(lattice.nodes())
        face = lattice.box & self.box
        if face.empty:
            return None
        sides = {lip: skin.sample(lip, nodes) for lip in (Lip if skin.torn else (Lip.UPPER,))}
        opening = mouth.opening(lips)
        opening = opening.moved(self._head.moved(opening.centre), 0.03 * self._unit) & face
        unturned = self._part(opening).copy()
        if skin.torn and not opening.empty:
            lower = mouth.lower_side(nodes, lips, edge=lattice.cell)
            seam = opening.moved(np.zeros(2), 0.16 * self._unit) & face
            torn = self._part(seam).copy()
            self._subtract(face, lattice.enlarged(_between(sides, lower), face))
            self._part(seam)[:] = torn
            self._move_seam(seam, lattice, sides, mouth, lips)
        else:
            self._subtract(face, lattice.enlarged(sides[Lip.UPPER], face))
        return None if opening.empty or lips.still else (opening, unturned)

    def _move_seam(
        self, seam: Box, lattice: Lattice, sides: Mapping[Lip, Field], mouth: Mouth, lips: Lips
    ) -> None:
        """Undo the shapes around the lips, where the sides part sharply: on a finer lattice."""
        finer = Lattice.covering(seam, max(1, lattice.cell // _SEAM_FINER))
        nodes = finer.nodes()
        lower = mouth.lower_side(self._head.unturned(nodes), lips, edge=finer.cell)
        fine = {lip: lattice.sample(sides[lip], nodes, cv2.INTER_CUBIC) for lip in Lip}
        self._subtract(seam, finer.enlarged(_between(fine, lower), seam))

    def move_eye(self, patch: EyePatch) -> tuple[Box, Picture | None]:
        """Undo an eye's lids and gaze; return its box and what is to be laid over it, RGBA."""
        eye = patch.box
        moved = self._head.moved(eye.centre)
        if self._skin is not None:
            moved = moved + self._skin.moved(eye.centre)
        where = eye.moved(moved, 0.035 * self._unit) & self.box
        if where.empty:
            return where, None
        part = self._part(where)
        place = part - np.array([eye.left, eye.top], np.float32)
        if patch.step > 1:
            place *= np.float32(1 / patch.step)
        shift = resample(patch.shift, place, border=cv2.BORDER_CONSTANT)
        cv2.add(part, shift, dst=part)
        if patch.layer is None:
            return where, None
        return where, resample(patch.layer, place, border=cv2.BORDER_CONSTANT)

    def _subtract(self, box: Box, field: Field) -> None:
        part = self._part(box)
        cv2.subtract(part, field, dst=part)

    def _part(self, box: Box) -> Field:
        return self.positions[box.within(self.box)]


def _seen_eyes(photo: Picture, landmarks: NDArray[np.float64], unit: float) -> list[Eye]:
    """The eyes that can be seen to move: none behind dark glasses."""
    hidden = hidden_eyes(photo, landmarks, unit)
    eyes = (Eye.left, Eye.right)
    return [of(photo, landmarks) for of, dark in zip(eyes, hidden, strict=True) if not dark]


def _between(sides: Mapping[Lip, Field], lower: NDArray[np.float32]) -> Field:
    """The field of the side that each point belongs to, shape (M, N, 2)."""
    upper_field, lower_field = sides[Lip.UPPER], sides[Lip.LOWER]
    return upper_field + (lower_field - upper_field) * lower[..., None]


def _lay_over(target: Picture, layer: NDArray[np.uint8]) -> None:
    """Blend a layer, colour times alpha and alpha, 0 to 255, over part of a picture in place."""
    colour, alpha = cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB), layer[..., 3]
    keep = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGB)
    shown = cv2.multiply(target, keep, scale=1 / 255)
    cv2.add(shown, colour, dst=shown)
    target[:] = shown

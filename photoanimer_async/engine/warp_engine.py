"""The package's engine: it warps the photo.

Theory of operation
-------------------
Each frame is the photo resampled through one map, with a few drawn layers on top. The map leads
from a pixel of the frame back into the photo, in three steps:

1. undo the head motion (`HeadMotion`): the position on the unmoved head;
2. undo the blendshapes (`Skin`): the position on the face in the photo, for each side of the lips;
3. undo eyelids and gaze (`Eye`): the source of the pixel's colour.

The first two are smooth and are composed on a lattice that moves with the head. Only around the
lips, where the map is discontinuous, and around the eyes, single pixels are computed. Pixels
outside the head's box are those of the photo, and a motion of 0 gives the photo itself.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshape_fields import Lip
from photoanimer_async.engine.blendshapes import Blendshapes, FaceMotion, skin_coefficients
from photoanimer_async.engine.eye_outline import EyeOutline
from photoanimer_async.engine.eyes import SHUT, WINKING, Eye, EyePatch
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.glasses import glasses_confidence, hidden_eyes
from photoanimer_async.engine.head_motion import HeadMotion, HeadPose, is_still
from photoanimer_async.engine.head_outline import HeadEllipse
from photoanimer_async.engine.lips import Lips
from photoanimer_async.engine.mouth import Mouth
from photoanimer_async.engine.mouth_visibility import mouth_is_covered
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.photo_frame import content_box
from photoanimer_async.engine.photo_layers import PhotoLayers
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shading import Shading
from photoanimer_async.engine.skin import Skin, SkinPose
from photoanimer_async.engine.warp import Box, Field, Lattice, relative, resample

_LIP_RESOLUTION = 4
"""How much finer the lattice is around the lips."""

_SEAM = 0.16
"""Margin of the finer lattice around the opening between the lips, in u."""

_OPENING_DRIFT, _EYE_DRIFT, _FOLD_DRIFT = 0.03, 0.035, 0.15
"""How much farther than their middle the pixels of the opening, of an eye and of the shading move
at most, in u: each is drawn in a box that moves with its middle."""


@frozen
class WarpEngine:
    """Renders by warping the photo, without a neural network, on one core; an `Engine`."""

    def prepare(self, image: Picture, face: Face) -> "WarpPortrait | FramedPortrait":
        """Compute what all frames of a face share; see `Engine.prepare`."""
        inside = content_box(image)
        x, y = face.centre
        shown = inside.left < x < inside.right and inside.top < y < inside.bottom
        if inside == Box.of(image) or not shown:
            return WarpPortrait.of(image, face)
        content = np.ascontiguousarray(image[inside.slices])
        portrait = WarpPortrait.of(content, face.moved(-inside.left, -inside.top))
        return FramedPortrait(image, inside, portrait)


@frozen(eq=False)
class FramedPortrait:
    """A face in a photo with a frame, which stands still; a `Portrait`."""

    _picture: Picture
    _inside: Box
    _portrait: "WarpPortrait"

    def frame(self, motion: FaceMotion) -> Picture:
        """Render the photo with the face moved; see `Portrait.frame`."""
        result = self._picture.copy()
        result[self._inside.slices] = self._portrait.frame(motion)
        return result


@frozen(eq=False)
class WarpPortrait:
    """A face that is rendered by warping; a `Portrait`."""

    _photo: Picture
    _layers: PhotoLayers
    _unit: float
    _head: HeadMotion
    _skin: Skin
    _shading: Shading
    _mouth: Mouth
    _eyes: Sequence[Eye]
    _mouth_covered: bool

    @classmethod
    def of(cls, photo: Picture, face: Face) -> Self:
        """Prepare a face in a photo."""
        landmarks = face.landmarks
        coordinates = FaceCoordinates.of(landmarks)
        texture = PhotoTexture.of(photo, landmarks, coordinates.unit)
        blendshapes = Blendshapes.of(coordinates.local)
        glasses = glasses_confidence(photo, landmarks, coordinates.unit)
        ellipse = HeadEllipse.of(landmarks, coordinates)
        person = PersonMask.of(photo, landmarks, ellipse, coordinates.unit)
        return cls(
            photo,
            PhotoLayers.of(photo, person, coordinates.unit),
            coordinates.unit,
            HeadMotion.of(landmarks, coordinates, ellipse, photo, person),
            Skin.of(landmarks, coordinates, blendshapes, glasses),
            Shading.of(photo, landmarks, coordinates.unit, glasses),
            Mouth.of(photo, landmarks, coordinates, blendshapes, texture),
            _moving_eyes(photo, landmarks, coordinates.unit, texture, glasses),
            mouth_is_covered(photo, landmarks, coordinates.unit, texture),
        )

    def frame(self, motion: FaceMotion) -> Picture:
        """Render the photo with the face moved; see `Portrait.frame`."""
        if self._mouth_covered:
            motion = {name: value for name, value in motion.items() if not _of_mouth(name)}
        coefficients = skin_coefficients(motion)
        lips = self._mouth.lips(coefficients)
        skin = self._skin.pose(coefficients) if coefficients.any() else None
        patches = [eye.render(motion) for eye in self._eyes if not eye.is_still(motion)]
        result = self._photo.copy()
        if skin is None and is_still(motion) and not patches:
            return result
        face = self._skin.lattice.box & Box.of(result)
        sources = _SourceMap.of(face, self._head.pose(motion), skin, self._unit)
        opening = sources.move_skin(self._mouth, lips)
        moved_eyes = [(patch, *sources.move_eye(patch)) for patch in patches]
        part = result[sources.box.slices]
        self._layers.draw(part, sources.positions, sources.box)
        if (gain := self._shading.gain(motion)) is not None:
            sources.shade(part, self._shading, gain)
        if opening is not None:
            where, unmoved = opening
            self._mouth.paint(part[where.within(sources.box)], self._photo, unmoved, lips)
        for patch, where, place, source in moved_eyes:
            if not where.empty:
                patch.paint(part[where.within(sources.box)], place, source)
        return result


@frozen(eq=False)
class _SourceMap:
    """The source positions in the photo of one frame's pixels.

    Attributes:
        box: The pixels that can differ from the photo's.
        positions: Each pixel's source, shape (height, width, 2). At first its position on the
            unmoved head; `move_skin` and `move_eye` change it in place.
    """

    box: Box
    positions: Field
    _head: HeadPose
    _skin: SkinPose | None
    _unit: float

    @classmethod
    def of(cls, face: Box, head: HeadPose, skin: SkinPose | None, unit: float) -> Self:
        box = head.box or face
        return cls(box, head.pixels_on_unmoved_head(box), head, skin, unit)

    def move_skin(self, mouth: Mouth, lips: Lips) -> tuple[Box, Field] | None:
        """Undo the blendshapes; return the mouth's opening and its pixels on the unmoved head."""
        skin = self._skin
        if skin is None:
            return None
        x, y = self._head.displacement(skin.centre)
        lattice = skin.lattice.moved(round(x), round(y))
        nodes = self._head.on_unmoved_head(lattice.nodes())
        face = lattice.box & self.box
        if face.empty:
            return None
        sides = {lip: skin.sample(lip, nodes) for lip in (Lip if skin.torn else (Lip.UPPER,))}
        opening = mouth.opening(lips)
        moved = self._head.displacement(opening.centre)
        opening = opening.moved(moved, _OPENING_DRIFT * self._unit) & face
        unmoved = self._part(opening).copy()
        if skin.torn and not opening.empty:
            lower = mouth.lower_side(nodes, lips, edge=lattice.cell)
            seam = opening.moved(np.zeros(2), _SEAM * self._unit) & face
            torn = self._part(seam).copy()
            self._subtract(face, lattice.enlarged(_select_side(sides, lower), face))
            self._part(seam)[:] = torn
            self._move_seam(seam, lattice, sides, mouth, lips)
        else:
            self._subtract(face, lattice.enlarged(sides[Lip.UPPER], face))
        return None if opening.empty or lips.still else (opening, unmoved)

    def _move_seam(
        self, seam: Box, lattice: Lattice, sides: Mapping[Lip, Field], mouth: Mouth, lips: Lips
    ) -> None:
        """Undo the blendshapes around the lips on a finer lattice: they are discontinuous there."""
        finer = Lattice.covering(seam, max(1, lattice.cell // _LIP_RESOLUTION))
        nodes = finer.nodes()
        lower = mouth.lower_side(self._head.on_unmoved_head(nodes), lips, edge=finer.cell)
        fine = {lip: lattice.sample(sides[lip], nodes, cv2.INTER_CUBIC) for lip in Lip}
        self._subtract(seam, finer.enlarged(_select_side(fine, lower), seam))

    def shade(self, picture: Picture, shading: Shading, gain: Picture) -> None:
        """Shade a picture, which has the pixels of `self.box`, in place."""
        box = shading.box
        where = self._moved(box, _FOLD_DRIFT) & self.box
        if not where.empty:
            place = self._part(where) - np.array([box.left, box.top], np.float32)
            shading.apply(gain, picture[where.within(self.box)], place)

    def move_eye(self, patch: EyePatch) -> tuple[Box, Field, Field]:
        """Undo an eye's lids and gaze; return its pixels, and their places before and after."""
        eye = patch.box
        where = self._moved(eye, _EYE_DRIFT) & self.box
        part = self._part(where)
        if where.empty:
            return where, part, part
        place = relative(part, (eye.left, eye.top))
        samples = relative(part, (eye.left, eye.top), 1 / patch.step)
        cv2.add(part, resample(patch.shift, samples, border=cv2.BORDER_CONSTANT), dst=part)
        return where, place, relative(part, (eye.left, eye.top))

    def _moved(self, box: Box, drift: float) -> Box:
        """Return where the face's pixels in a box of the photo are in the frame; `drift` in u."""
        moved = self._head.displacement(box.centre)
        if self._skin is not None:
            moved = moved + self._skin.displacement(box.centre)
        return box.moved(moved, drift * self._unit)

    def _subtract(self, box: Box, field: Field) -> None:
        part = self._part(box)
        cv2.subtract(part, field, dst=part)

    def _part(self, box: Box) -> Field:
        return self.positions[box.within(self.box)]


def _of_mouth(name: str) -> bool:
    """Return whether a coefficient moves the mouth."""
    return name.startswith(("mouth", "jaw"))


def _moving_eyes(
    photo: Picture,
    landmarks: Array,
    unit: float,
    texture: PhotoTexture,
    glasses: float,
) -> list[Eye]:
    """Return the eyes that the photo shows open, and not behind dark glasses."""
    hidden = hidden_eyes(photo, landmarks, unit)
    outlines = [EyeOutline.of(landmarks, side) for side in ("Left", "Right")]
    is_one_shut = min(outline.opening for outline in outlines) <= SHUT
    bound = WINKING if is_one_shut else SHUT
    eyes = (
        Eye.of(photo, outline, texture, glasses)
        for outline, dark in zip(outlines, hidden, strict=True)
        if not dark and outline.opening > bound
    )
    return [eye for eye in eyes if eye is not None]


def _select_side(sides: Mapping[Lip, Field], lower: Floats) -> Field:
    """Return the field of the side that each point belongs to, shape (M, N, 2)."""
    upper_field, lower_field = sides[Lip.UPPER], sides[Lip.LOWER]
    return upper_field + (lower_field - upper_field) * lower[..., None]

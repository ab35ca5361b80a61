"""Eyes: closing lids and a moving gaze.

Theory of operation
-------------------
An eye is rendered in a box around it, in two steps. A shift of each pixel's source moves the lids
and the eyeball of the photo; it is smooth, and computed on every n-th pixel if the eye is large.
The frame samples the photo through it, together with all other movement. What the photo does not
show, the skin and the lashes of a closed lid, is drawn once for each photo (`eyelid_skin`,
`lashes`), and painted over the frame as far as the lid is closed.

To close the eye, the upper lid moves down and the lower one a little up, until they meet. The skin
above the upper lid is stretched between the fold under the brow, which does not move, and the strip
along the lashes, which moves unchanged. A photo rarely shows enough skin for that, so a lid that is
more than a third closed is covered with the drawn skin. An eye that is shut in the photo stays as
it is.

If an eye opens wide, the eyeball does not move: the part of it that the upper lid covers in the
photo is painted (`eyeball`), so the iris stays round.
"""

from typing import Self

import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Floats
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.eye_outline import EyeOutline
from photoanimer_async.engine.eyeball import RIM, whole_eyeball
from photoanimer_async.engine.eyelid_skin import closed_eyelid, lash_colour
from photoanimer_async.engine.lashes import Lashes
from photoanimer_async.engine.photo_texture import PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, resample, smooth_ramp, smoothstep

SHUT = 0.15
"""Distance of the lids, in widths of the eye, below which an eye is shut in the photo."""

WINKING = 0.2
"""The distance from which an eye is open though the other one is shut: eyes that narrow in a laugh
are both left as they are, and would not close one without the other."""

_RISE = 0.03
"""Part of the opening that the lower lid covers when the eye closes."""

_SQUINT = 0.26
"""Part of the opening that the lower lid covers at a full squint."""

_LEAST_LID, _MOST_LID = 0.08, 0.30
"""Least and largest height of the skin above the upper lid that is stretched when it closes: up to
the brow if that is between them; in widths of the eye."""

_POUCH = 0.36
"""Height of the skin under the lower lid that follows it, in widths of the eye."""

_RIMS = 0.2
"""How much less of it follows if there is a rim of glasses, in widths of the eye."""

_SOFT = 0.012
"""Half width of the soft edge of a lid, in widths of the eye, in a sharp photo."""

_SAMPLES_ACROSS = 48
"""Number of samples across an eye: the step between them is the eye's width by this."""

_REACH = 0.80
"""Half width of the box, in widths of the eye."""


@frozen(eq=False)
class EyePaint:
    """What an eye is painted with, drawn once for each photo.

    Attributes:
        closed: The photo with the eye closed, but without lashes: each pixel of the eye's box,
            (height, width, 3).
        wide: The photo without the upper lid, likewise.
        lashes: The lashes along its edge.
        lash: Their colour, (3,).
    """

    closed: Picture
    wide: Picture
    lashes: Lashes
    lash: Floats


@frozen(eq=False)
class EyePatch:
    """An eye in one frame.

    Attributes:
        box: Its pixels in the photo.
        step: Distance between samples in photo pixels; the first is the box's first pixel.
        shift: Added to each source position, shape (rows, columns, 2), in pixels.
    """

    box: Box
    step: int
    shift: Field
    _outline: EyeOutline
    _paint: EyePaint
    _cover: Floats | None  # opacity of the paint, distance below the lid's edge; (.., .., 2)
    _wide: bool
    _lashes: float  # opacity of the lashes

    def paint(self, target: Picture, place: Field, source: Field) -> None:
        """Paint the lid, or what it uncovers, over a part of the frame.

        Args:
            target: The part, shape (h, w, 3); changed in place.
            place: Each pixel's position in the box before `shift`, in pixels, shape (h, w, 2).
            source: The same after it.
        """
        if self._cover is None:
            return
        cover = resample(self._cover, place * np.float32(1 / self.step))
        if self._wide:
            # The raised lid casts a shadow.
            shadow = np.exp(cover[..., 1:] / np.float32(-0.06 * self._outline.width))
            colours = resample(self._paint.wide, source) * (1 - np.float32(0.5) * shadow)
        else:
            colours = resample(self._paint.closed, place)
        offset = (np.array([self.box.left, self.box.top]) - self._outline.centre).astype(np.float32)
        x = (place + offset) @ self._outline.turn[:, 0].astype(np.float32)
        lash = self._paint.lashes.at(x, cover[..., 1]) * np.float32(self._lashes)
        shown = target.astype(np.float32)
        shown += (colours - shown) * cover[..., :1]
        shown += (self._paint.lash - shown) * lash[..., None]
        target[:] = np.clip(shown + np.float32(0.5), 0, 255).astype(np.uint8)


@frozen(eq=False)
class Eye:
    """One eye of a photo, prepared for rendering; lengths in pixels.

    Attributes:
        box: Its pixels in the photo.
    """

    box: Box
    _step: int
    _outline: EyeOutline
    _paint: EyePaint
    _x: Floats  # the eye's coordinates of each sample
    _y: Floats
    _upper: Floats  # y of the lids in the photo at each sample's x
    _lower: Floats
    _fold: Floats  # y above which nothing moves
    _cheek: float  # y below which nothing moves
    _soft: float  # half width of the soft edge of a lid

    @classmethod
    def of(
        cls, picture: Picture, outline: EyeOutline, texture: PhotoTexture, glasses: float = 0.0
    ) -> Self | None:
        """Prepare an eye of a photo; return None if it is outside of the photo.

        Args:
            picture: The photo.
            outline: The eye's shape.
            texture: The photo's texture.
            glasses: Confidence that the face wears glasses, 0 to 1: their lower rims do not move.
        """
        w = outline.width
        along = np.linspace(-w / 2, w / 2, 33, dtype=np.float32)
        top = float(outline.upper(along).min())
        bottom = max(float(outline.lower(along).max()), top + 0.02 * w)
        fold = max(min(outline.brow, top - _LEAST_LID * w), top - _MOST_LID * w)
        cheek = bottom + _POUCH * w
        rims = np.array(
            [[x, y] for x in (-_REACH * w, _REACH * w) for y in (fold - 0.06 * w, cheek)]
        )
        box = Box.around(outline.centre + rims @ outline.turn.T, 1) & Box.of(picture)
        if box.empty:
            return None
        step = max(1, int(w // _SAMPLES_ACROSS))
        local = (box.pixels()[::step, ::step] - outline.centre) @ outline.turn
        x, y = local[..., 0].astype(np.float32), local[..., 1].astype(np.float32)
        upper, lower = _lids(outline, x)
        return cls(
            box, step, outline, _eye_paint(picture, box, outline, texture), x, y, upper, lower,
            np.minimum(np.float32(fold), upper - np.float32(_LEAST_LID * w)),
            cheek - _RIMS * w * glasses, max(_SOFT * w, texture.blur),
        )  # fmt: skip

    def is_still(self, motion: FaceMotion) -> bool:
        """Whether the eye looks as in the photo."""
        side = self._outline.side
        names = (f"eyeBlink{side}", f"eyeSquint{side}", "gazeX", "gazeY")
        return not any(motion.get(name, 0.0) for name in names)

    def render(self, motion: FaceMotion) -> EyePatch:
        """Render the eye for a motion."""
        w, side = np.float32(self._outline.width), self._outline.side
        close = float(np.clip(motion.get(f"eyeBlink{side}", 0.0), -0.3, 1))
        squint = float(np.clip(motion.get(f"eyeSquint{side}", 0.0), 0, 1)) * _SQUINT
        opening = self._lower - self._upper
        # If the eye is closed, the lids meet: what the lower one covers is left to it.
        rise = squint + _RISE * max(close, 0)
        drop = opening * np.float32(close * (1 - (squint + _RISE if close > 0 else 0)))
        upper, lower = self._upper + drop, self._lower - opening * np.float32(rise)

        above, below = self._y - upper, lower - self._y
        span = np.maximum(upper - self._fold, 1)
        lid = smoothstep((self._y - self._fold) / span) * -drop
        room = np.maximum(np.float32(self._cheek) - lower, 1)
        pouch = smoothstep((self._cheek - self._y) / room) * (self._lower - lower)
        ball_x, ball_y = self._ball(motion)
        is_open = (above >= 0) & (below >= 0)
        down = np.where(above < 0, lid, np.where(below < 0, pouch, ball_y))
        across = np.where(is_open, ball_x, np.float32(0))
        rim = smoothstep((_REACH * w - np.abs(self._x)) / (0.2 * w))
        shift = np.stack([across * rim, down * rim], axis=-1) @ self._outline.turn.T
        if close > 0:
            cover, lashes = self._closing(close, above, drop), smooth_ramp((close - 0.25) / 0.5)
        elif close < 0:
            cover, lashes = self._widening(above, below, ball_y, drop), 0.0
        else:
            cover, lashes = None, 0.0
        return EyePatch(
            self.box, self._step, shift.astype(np.float32), self._outline, self._paint, cover,
            close < 0, lashes,
        )  # fmt: skip

    def _ball(self, motion: FaceMotion) -> tuple[Floats, Floats]:
        """Return the shift of the eyeball's source: against the gaze."""
        w = np.float32(self._outline.width)
        x = self._x / (w / 2)
        middle = (self._upper + self._lower) / 2
        across = np.clip(1 - x * x, 0, 1)
        down = across * np.clip(1 - np.abs(self._y - middle) / (0.75 * w), 0, 1)
        radius = np.float32(self._outline.iris_radius)
        ball_x = -np.float32(motion.get("gazeX", 0.0)) * radius * across
        ball_y = -np.float32(motion.get("gazeY", 0.0)) * radius * down
        return ball_x, ball_y

    def _closing(self, close: float, above: Floats, drop: Floats) -> Floats:
        """Return the opacity of the closed lid, and the distance below its edge."""
        w = np.float32(self._outline.width)
        # Until the eye is nearly closed, the strip along the lashes is that of the photo.
        shut = np.float32(smooth_ramp((close - 0.4) / 0.35))
        soft = np.float32(self._soft)
        reach = soft * shut - np.float32(0.04) * w * (1 - shut)
        edge = smoothstep((reach - above) / (2 * soft) + np.float32(0.5))
        shown = np.float32(smooth_ramp((float(drop.max()) / float(w) - 0.02) / 0.12))
        return _faded(edge * shown, above)

    def _widening(self, above: Floats, below: Floats, ball_y: Floats, drop: Floats) -> Floats:
        """Return the opacity of the uncovered eyeball, and the distance below the lid's edge."""
        w = np.float32(self._outline.width)
        soft = np.float32(self._soft)
        inside = np.minimum(above, below) / (2 * soft) + np.float32(0.5)
        line = self._upper + np.float32(RIM) * w
        covered = (line - self._y - ball_y) / (np.float32(0.04) * w) + np.float32(0.5)
        shown = np.float32(smooth_ramp(-float(drop.min()) / (0.05 * float(w))))
        apart = np.clip((above + below) / (2 * soft), 0, 1)
        return _faded(smoothstep(inside) * smoothstep(covered) * apart * shown, above)


def _faded(opacity: Floats, above: Floats) -> Floats:
    """Return both in one array, with opacity 0 at the box's borders."""
    opacity[[0, -1]] = 0
    opacity[:, [0, -1]] = 0
    return np.dstack([opacity, above]).astype(np.float32)


def _lids(outline: EyeOutline, x: Floats) -> tuple[Floats, Floats]:
    """Return y of both lids at each x; the wet rim of the lower lid also closes."""
    upper, lower = outline.upper(x), outline.lower(x)
    w = np.float32(outline.width)
    rim = np.clip(1 - (x / (w / 2)) ** 2, 0, 1) * np.float32(0.03) * w
    return upper, np.maximum(lower + rim, upper)


def _eye_paint(picture: Picture, box: Box, outline: EyeOutline, texture: PhotoTexture) -> EyePaint:
    """Draw the skin and the lashes of a closed lid."""
    local = (box.pixels() - outline.centre) @ outline.turn
    x, y = local[..., 0].astype(np.float32), local[..., 1].astype(np.float32)
    upper, lower = _lids(outline, x)
    colours = picture[box.slices].astype(np.float32)
    w = outline.width
    skin = closed_eyelid(
        colours, x, y, upper=upper, lower=lower, brow=outline.brow, width=w,
        grain=texture.grain_of(box),
    )  # fmt: skip
    wide = whole_eyeball(colours, x, y, lids=(upper, lower), outline=outline)
    lash = lash_colour(colours, x, y, upper=upper, skin=skin, width=w)
    lashes = Lashes.drawn(w, outline.outwards, texture.blur)
    return EyePaint(skin.astype(np.uint8), wide.astype(np.uint8), lashes, lash)

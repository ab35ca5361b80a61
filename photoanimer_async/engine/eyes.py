"""Eyes: closing lids and a moving gaze.

Theory of operation
-------------------
An eye is rendered on the photo's pixel grid (on every n-th pixel if the eye is large), in a box
around it, as an `EyePatch`: a shift of each pixel's source, and a colour layer on top. The frame
samples both through its own map, so that the photo is resampled only once.

In the eye's coordinates (x from the left corner to the right, y down, the eye's width w), the lids
are two polynomials that meet at the corners. To close the eye, the upper one moves down to the
lower one. The skin above is stretched between the fold under the brow, which does not move, and the
strip along the lashes, which moves unchanged. A photo rarely shows enough skin for that, so the
stretched part is covered with the skin of `eyelid_skin`. The lid's edge is the photo's row of
lashes, with a soft line in the lashes' colour for those that the open eye hides.
"""

from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.eyelid_skin import eyelid_colours, grain
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, smoothstep

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

_MEETING_POINT = 0.97
"""Where closed lids meet, from 0 at the upper lid to 1 at the lower one."""

_SQUINT = 0.24
"""Part of the opening that the lower lid covers at a full squint."""

_SAMPLES_ACROSS = 48
"""Number of samples across an eye: the step between them is the eye's width by this."""


@frozen(eq=False)
class EyePatch:
    """An eye in one frame.

    Attributes:
        box: Its pixels in the photo.
        step: Distance between samples in photo pixels; the first is the box's first pixel.
        shift: Added to each source position, shape (rows, columns, 2), in pixels.
        layer: Colour on top: RGB times alpha, and alpha, shape (rows, columns, 4), 0 to 255; None
            if there is none.
    """

    box: Box
    step: int
    shift: Field
    layer: NDArray[np.uint8] | None


@frozen(eq=False)
class _Outline:
    """The axes and lids of an eye."""

    centre: Array
    right: Array
    width: float
    upper: Array  # coefficients of the lids, see `_lid`
    lower: Array
    brow: float  # y of the brow's lower edge
    iris: Array  # centre of the iris
    iris_radius: float

    @classmethod
    def of(
        cls,
        landmarks: Array,
        upper: tuple[int, ...],
        lower: tuple[int, ...],
        brow: tuple[int, ...],
        iris: tuple[int, ...],
    ) -> Self:
        start, end = landmarks[upper[0], :2], landmarks[upper[-1], :2]
        width = max(float(np.hypot(*(end - start))), 2.0)
        right, centre = (end - start) / width, (start + end) / 2
        turn = np.stack([right, [-right[1], right[0]]], axis=1)

        def local(group: tuple[int, ...]) -> Array:
            return np.asarray((landmarks[list(group), :2] - centre) @ turn)

        rim = local(iris)
        return cls(
            centre,
            right,
            width,
            _fit_lid(local(upper), width),
            _fit_lid(local(lower), width),
            float(local(brow)[:, 1].mean()),
            rim[0],
            float(np.hypot(*(rim[1:] - rim[0]).T).mean()),
        )

    @property
    def turn(self) -> Array:
        """Rotation from the eye's axes to the picture's, shape (2, 2)."""
        return np.asarray(np.stack([self.right, [-self.right[1], self.right[0]]], axis=1))


def _fit_lid(points: Array, width: float) -> Array:
    x = points[1:-1, 0] / (width / 2)
    arch = 1 - x * x
    terms = np.stack([arch, arch * x, arch * x * x], axis=1)
    return np.asarray(np.linalg.lstsq(terms, points[1:-1, 1], rcond=None)[0], np.float64)


def _lid(coefficients: Array, x: Floats) -> Floats:
    """Return y of a lid, 0 beyond the corners; x is in half widths of the eye."""
    clipped = np.clip(x, -1, 1)
    a, b, c = (np.float32(value) for value in coefficients)
    return np.asarray((1 - clipped * clipped) * (a + clipped * (b + clipped * c)), np.float32)


@frozen(eq=False)
class Eye:
    """One eye of a photo, prepared for rendering; lengths in pixels."""

    box: Box
    _step: int
    _outline: _Outline
    _side: str
    _x: Floats  # the eye's coordinates of each pixel of the box
    _y: Floats
    _upper: Floats  # y of the lids in the photo at each pixel's x
    _lower: Floats
    _fold: Floats  # y above which nothing moves
    _cheek: float  # y below which nothing moves
    _skin: Floats  # colour of the closed lid, (height, width, 3)
    _lash: NDArray[np.float32]  # colour of the lashes, (3,)
    _strands: Floats  # unevenness of the lashes

    @classmethod
    def left(cls, picture: Picture, landmarks: Array) -> Self:
        """Prepare the eye on the picture's left."""
        outline = _Outline.of(
            landmarks,
            lm.EYE_LEFT_UPPER,
            lm.EYE_LEFT_LOWER,
            lm.BROW_LEFT_LOWER,
            lm.IRIS_LEFT,
        )
        return cls._of(picture, outline, "Left")

    @classmethod
    def right(cls, picture: Picture, landmarks: Array) -> Self:
        """Prepare the eye on the picture's right."""
        outline = _Outline.of(
            landmarks,
            lm.EYE_RIGHT_UPPER,
            lm.EYE_RIGHT_LOWER,
            lm.BROW_RIGHT_LOWER,
            lm.IRIS_RIGHT,
        )
        return cls._of(picture, outline, "Right")

    @classmethod
    def _of(cls, picture: Picture, outline: _Outline, side: str) -> Self:
        w = outline.width
        lid_x = np.linspace(-1, 1, 33, dtype=np.float32)
        top = float(_lid(outline.upper, lid_x).min())
        bottom = max(float(_lid(outline.lower, lid_x).max()), top + 0.02 * w)
        fold = max(min(outline.brow, top - 0.08 * w), top - 0.30 * w)
        cheek = bottom + 0.30 * w
        rims = np.array([[x, y] for x in (-0.72 * w, 0.72 * w) for y in (fold - 0.02 * w, cheek)])
        corners = outline.centre + rims @ outline.turn.T
        box = Box.around(corners, 1) & Box.of(picture)
        if box.empty:
            box = Box(0, 0, 1, 1)
        step = max(1, int(w // _SAMPLES_ACROSS))
        local = (box.pixels()[::step, ::step] - outline.centre) @ outline.turn
        x, y = local[..., 0].astype(np.float32), local[..., 1].astype(np.float32)
        upper, lower = (_lid(c, x / np.float32(w / 2)) for c in (outline.upper, outline.lower))
        # The wet rim of the lower lid also closes.
        rim = np.clip(1 - (x / np.float32(w / 2)) ** 2, 0, 1) * np.float32(0.03 * w)
        lower = np.maximum(lower + rim, upper)
        colours = picture[box.slices].astype(np.float32)
        if step > 1:
            colours = np.asarray(cv2.blur(colours, (step, step))[::step, ::step], np.float32)
        skin, lash = eyelid_colours(colours, x, y, upper=upper, lower=lower, width=w)
        strands = grain((len(x), x.shape[1]), 0.9)
        return cls(
            box, step, outline, side, x, y, upper, lower,
            np.minimum(np.float32(fold), upper - np.float32(0.08 * w)), cheek, skin, lash, strands,
        )  # fmt: skip

    def is_still(self, motion: FaceMotion) -> bool:
        """Whether the eye looks as in the photo."""
        names = (f"eyeBlink{self._side}", f"eyeSquint{self._side}", "gazeX", "gazeY")
        return not any(motion.get(name, 0.0) for name in names)

    def render(self, motion: FaceMotion) -> EyePatch:
        """Render the eye for a motion."""
        w = np.float32(self._outline.width)
        close = float(np.clip(motion.get(f"eyeBlink{self._side}", 0.0), -0.3, 1))
        squint = float(np.clip(motion.get(f"eyeSquint{self._side}", 0.0), 0, 1))
        opening = self._lower - self._upper
        rise = min(
            max(close, 0) * (1 - _MEETING_POINT) + squint * _SQUINT,
            1 - max(close, 0) * _MEETING_POINT,
        )
        drop = opening * np.float32(close * _MEETING_POINT)
        upper, lower = self._upper + drop, self._lower - opening * np.float32(rise)

        above, below = self._y - upper, lower - self._y
        span = np.maximum(upper - self._fold, 1)
        lid = smoothstep((self._y - self._fold) / span) * -drop
        room = np.maximum(np.float32(self._cheek) - lower, 1)
        pouch = smoothstep((self._cheek - self._y) / room) * (self._lower - lower)
        ball_x, ball_y = self._ball(motion, upper, lower, min(close, 0.0))
        is_open = (above >= 0) & (below >= 0)
        down = np.where(above < 0, lid, np.where(below < 0, pouch, ball_y))
        across = np.where(is_open, ball_x, np.float32(0))
        rim = smoothstep((0.72 * w - np.abs(self._x)) / (0.16 * w))
        shift = np.stack([across * rim, down * rim], axis=-1) @ self._outline.turn.T
        layer = self._layer(close, above, drop) if close > 0 else None
        return EyePatch(self.box, self._step, shift.astype(np.float32), layer)

    def _ball(
        self, motion: FaceMotion, upper: Floats, lower: Floats, wide: float
    ) -> tuple[Floats, Floats]:
        """Return the shift of the eyeball's source: against the gaze, stretched if wide open."""
        w = np.float32(self._outline.width)
        x = self._x / (w / 2)
        middle = (self._upper + self._lower) / 2
        across = np.clip(1 - x * x, 0, 1)
        down = across * np.clip(1 - np.abs(self._y - middle) / (0.75 * w), 0, 1)
        radius = np.float32(self._outline.iris_radius)
        ball_x = -np.float32(motion.get("gazeX", 0.0)) * radius * across
        ball_y = -np.float32(motion.get("gazeY", 0.0)) * radius * down
        if wide < 0:
            part = (self._y - upper) / np.maximum(lower - upper, 1)
            ball_y = ball_y + self._upper + part * (self._lower - self._upper) - self._y
        return ball_x, ball_y

    def _layer(self, close: float, above: Floats, drop: Floats) -> NDArray[np.uint8]:
        """Return the colour layer: lid skin, lashes and the lid's shadow."""
        w = np.float32(self._outline.width)
        x = np.abs(self._x) / (w / 2)
        ends = np.clip((np.float32(1.04) - x) / np.float32(0.16), 0, 1)
        depth = np.clip(drop / (0.05 * w), 0, 1) * ends
        # The strip along the lashes is that of the photo.
        lashes = np.float32(0.035) * w
        uncovered = smoothstep((-above - lashes * 0.5) / lashes)
        fade_in = smoothstep((self._y - self._fold) / np.maximum(self._upper - self._fold, 1))
        skin = np.where(above < 0, uncovered * fade_in * depth, 0) * np.float32(0.94)
        line = np.exp(-0.5 * (above / np.maximum(np.float32(0.016) * w, 0.6)) ** 2) * 0.68
        fringe = np.exp(-np.maximum(above, 0) / (np.float32(0.035) * w)) * (above > 0) * 0.4
        lash = (
            (line + fringe * np.clip(0.7 + 0.5 * self._strands, 0, 1)) * depth * min(close * 1.6, 1)
        )
        lash = np.clip(lash, 0, 0.8)
        alpha = skin + lash - skin * lash
        colour = self._skin * (skin * (1 - lash))[..., None] + self._lash * lash[..., None]
        return np.dstack([colour, alpha * np.float32(255)]).astype(np.uint8)

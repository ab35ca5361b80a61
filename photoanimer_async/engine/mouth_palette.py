"""The colours of a mouth's interior, taken from the photo of the face around it."""

from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.photo_texture import LUMINANCE, PhotoTexture
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box


@frozen(eq=False)
class MouthPalette:
    """The colours of a mouth's interior, each of shape (3,), RGB, 0 to 255.

    Attributes:
        black: The darkest colour of the face.
        dark: The background of the mouth.
        shade: Teeth in the shade.
        lining: The inside of the lower lip.
        tongue, gum, tooth: In the light.
        skin_light: Luminance of the skin, 0 to 255.
        slope: Light at the mouth's right end, relative to its middle, minus 1; -0.35 to 0.35.
    """

    black: Array
    dark: Array
    shade: Array
    lining: Array
    tongue: Array
    gum: Array
    tooth: Array
    skin_light: float
    slope: float

    @classmethod
    def of(cls, picture: Picture, landmarks: Array, texture: PhotoTexture) -> Self:
        """Return the colours of a mouth in a face with these landmarks, shape (478, 3)."""
        height, width = picture.shape[:2]
        spots = landmarks[np.array([lm.CHEEK_LEFT, lm.CHEEK_RIGHT]), :2].round()
        spots = np.clip(spots, 0, [width - 1, height - 1]).astype(int)
        cheeks = picture[spots[..., 1], spots[..., 0]].astype(float)
        skin = np.median(cheeks.reshape(-1, 3), axis=0)
        light = np.median(cheeks @ LUMINANCE, axis=1)
        slope = float(np.clip((light[1] - light[0]) / max(light.sum(), 1) * 0.8, -0.35, 0.35))
        luminance = max(float(skin @ LUMINANCE), 1.0)
        lips = _lip_colour(picture, landmarks, skin)
        flesh = (lips + skin) / 2
        flesh *= luminance / max(float(flesh @ LUMINANCE), 1.0)
        vivid = max(float(np.ptp(each) / max(each.max(), 1)) for each in (skin, lips))
        colourful = min(vivid / 0.25, 1.0)
        white = 1 + colourful * (np.array([1.03, 0.99, 0.90]) - 1)
        black, lightest = _range_of(picture, landmarks)
        tooth_light = min(luminance * 1.08 + min(22.0, 0.3 * luminance), 226.0, lightest)
        # Without colours of its own, the photo's cast is that of everything.
        tooth = tooth_light * (skin / luminance + 0.68 * colourful * (white - skin / luminance))
        # Flesh in the mouth is redder than skin, unless the photo is grey.
        red = 1 + colourful * (np.array([1.16, 0.82, 0.84]) - 1)
        deepest = max(0.20, 1.1 * float(black @ LUMINANCE) / luminance)
        dark, shade, lining, tongue, gum = (
            texture.toned(flesh * red * part)
            for part in (deepest, max(0.30, deepest), max(0.5, deepest), 0.74, 0.66)
        )
        return cls(
            black=black, dark=dark, shade=shade, lining=lining, tongue=tongue, gum=gum,
            tooth=texture.toned(tooth),
            skin_light=luminance, slope=slope,
        )  # fmt: skip


def _range_of(picture: Picture, landmarks: Array) -> tuple[Array, float]:
    """Return the darkest colour, (3,), and the highest luminance of a face.

    A faded photo has no black and no white.
    """
    box = Box.around(landmarks[: lm.MESH_COUNT, :2]) & Box.of(picture)
    if box.empty:
        return np.zeros(3), 255.0
    step = max(1, box.height // 100)
    pixels = picture[box.slices][::step, ::step].reshape(-1, 3).astype(float)
    light = pixels @ LUMINANCE
    darkest, lightest = np.quantile(light, [0.02, 0.985])
    return np.median(pixels[light <= darkest], axis=0), float(lightest)


def _lip_colour(picture: Picture, landmarks: Array, skin: Array) -> Array:
    """Return the mean colour of the lips, or that of the skin if they are outside of the photo."""
    box = Box.around(landmarks[list(lm.LIPS_OUTER), :2]) & Box.of(picture)
    if box.empty:
        return skin
    mask = np.zeros((box.height, box.width), np.uint8)
    for group, value in ((lm.LIPS_OUTER, 1), (lm.LIPS_INNER, 0)):
        outline = np.round(landmarks[list(group), :2] - [box.left, box.top]).astype(np.int32)
        cv2.fillPoly(mask, [outline], value)
    chosen = picture[box.slices][mask > 0]
    return np.asarray(chosen.mean(axis=0), np.float64) if len(chosen) else skin

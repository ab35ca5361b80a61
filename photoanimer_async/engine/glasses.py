"""Detection of glasses, and of dark lenses.

The bridge of glasses crosses the nose as a bar with sharp edges; skin changes gradually. Along this
strip of the nose, the steepest change of light, relative to its mean and per u (the distance
between the outer eye corners), is 0.5 to 5 on bare faces and above 10 with glasses; a deep frown
can come close.

Skin under the eyes has 0.6 to 1.1 times the light of the cheeks; behind dark lenses 0.1 times.
"""

import cv2
import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, resample, smooth_ramp

_WITHOUT_GLASSES, _WITH_GLASSES = 5.0, 9.0
_DARK = 0.3
"""Light under the eyes, relative to the cheeks, below which lenses are dark."""

_UNDER_EYES = ((230, 229, 231, 23, 24), (450, 449, 451, 253, 254))

_STEPS, _COLUMNS = 48, 9
_HALF_WIDTH = 0.05
"""Half width of the strip, in u."""


def glasses_confidence(picture: Picture, landmarks: Array, unit: float) -> float:
    """Return the confidence that the face wears glasses, 0 to 1; `unit` is u in pixels."""
    start, end = landmarks[[lm.BETWEEN_BROWS, lm.NOSE_RIDGE], :2]
    down = end - start
    length = max(float(np.hypot(*down)), 1.0)
    across = np.array([-down[1], down[0]]) / length
    steps = np.linspace(0, 1, _STEPS)[:, None, None]
    offsets = np.linspace(-_HALF_WIDTH, _HALF_WIDTH, _COLUMNS)[None, :, None] * unit
    places = start + steps * down + offsets * across
    box = Box.around(places, 2 + 0.05 * unit) & Box.of(picture)
    if box.empty:
        return 0.0
    grey = cv2.cvtColor(picture[box.slices], cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), max(0.5, 0.012 * unit)).astype(np.float32)
    strip = resample(smooth, (places - [box.left, box.top]).astype(np.float32))
    rows = np.median(strip, axis=1)
    steepest = float(np.abs(np.diff(rows)).max()) * _STEPS * unit / length
    relative = steepest / max(float(rows.mean()), 1.0)
    return smooth_ramp((relative - _WITHOUT_GLASSES) / (_WITH_GLASSES - _WITHOUT_GLASSES))


def hidden_eyes(picture: Picture, landmarks: Array, unit: float) -> tuple[bool, bool]:
    """Return whether the left and the right eye are behind dark lenses."""

    def light(index: int) -> float:
        spot = landmarks[index : index + 1, :2]
        box = Box.around(spot, 0.03 * unit) & Box.of(picture)
        return float(np.median(picture[box.slices])) if not box.empty else np.nan

    cheeks = np.nanmedian([0.0, *map(light, lm.CHEEK_LEFT + lm.CHEEK_RIGHT)])
    left, right = (
        bool(np.nanmedian([255.0, *map(light, under)]) < _DARK * cheeks) for under in _UNDER_EYES
    )
    return left, right

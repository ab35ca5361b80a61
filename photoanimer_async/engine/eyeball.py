"""The part of the eyeball that the upper lid covers in the photo; an eye opened wide shows it.

An eyeball looks about the same all around the centre of its iris: each place has the median colour
of the visible places at the same distance. So the iris stays round, and reflections are not
repeated.
"""

import cv2
import numpy as np

from photoanimer_async.engine.arrays import Floats
from photoanimer_async.engine.eye_outline import EyeOutline
from photoanimer_async.engine.warp import smoothstep

RIM = 0.07
"""Height of the strip under the upper lid with lashes and their shadow, in widths of the eye."""

_RING = 0.025
"""Width of a ring around the iris's centre, in widths of the eye."""

_FEW = 3
"""Number of visible pixels from which a ring's median is used."""

_SHADE = 0.86
"""Light under a raised lid, relative to the visible eyeball."""


def whole_eyeball(
    colours: Floats, x: Floats, y: Floats, *, lids: tuple[Floats, Floats], outline: EyeOutline
) -> Floats:
    """Return the photo around an eye with its upper lid removed, shape (h, w, 3).

    Args:
        colours: The photo around the eye, RGB, shape (h, w, 3).
        x: Position along the eye from its middle, shape (h, w), in pixels.
        y: Position down, shape (h, w), in pixels.
        lids: y of the upper and of the lower lid at each x, shape (h, w).
        outline: The eye.
    """
    w = np.float32(outline.width)
    upper, lower = lids
    iris_x, iris_y = outline.iris.astype(np.float32)
    ring = np.hypot(x - iris_x, y - iris_y) / (np.float32(_RING) * w)
    line = upper + np.float32(RIM) * w
    visible = (y > line) & (y < lower - np.float32(0.04) * w) & (np.abs(x) < np.float32(0.42) * w)
    index = ring[visible].astype(int)
    rings = [at for at in range(int(0.5 / _RING)) if np.count_nonzero(index == at) >= _FEW]
    if not rings:
        return colours
    seen = colours[visible]
    medians = np.array([np.median(seen[index == at], axis=0) for at in rings])
    profile = np.stack(
        [np.interp(ring, np.array(rings) + 0.5, medians[:, part]) for part in range(3)], axis=-1
    )
    profile = cv2.GaussianBlur(profile.astype(np.float32), (0, 0), max(0.012 * outline.width, 0.5))
    covered = smoothstep((line - y) / (np.float32(0.04) * w) + np.float32(0.5))
    return colours + (profile * np.float32(_SHADE) - colours) * covered[..., None]

"""The eyeball under the lid."""

import numpy as np

from photoanimer_async.engine.eye_outline import EyeOutline
from photoanimer_async.engine.eyeball import whole_eyeball
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box


def test_an_iris_is_completed_under_the_lid(astronaut: Picture, astronaut_face: Face) -> None:
    outline = EyeOutline.of(astronaut_face.landmarks * 4, "Left")
    box = Box.around(outline.centre, 0.8 * outline.width)
    local = (box.pixels() - outline.centre) @ outline.turn
    x, y = local[..., 0].astype(np.float32), local[..., 1].astype(np.float32)
    upper, lower = outline.upper(x), outline.lower(x)
    away = np.hypot(x - outline.iris[0], y - outline.iris[1])
    radius = 0.2 * outline.width
    colours = np.where((away < radius)[..., None], [20, 30, 200], [230, 225, 220])
    colours = np.where((y < upper)[..., None], [180, 140, 120], colours).astype(np.float32)
    whole = whole_eyeball(colours, x, y, lids=(upper, lower), outline=outline)
    hidden = y < upper
    iris, white = hidden & (away < 0.8 * radius), hidden & (away > 1.3 * radius)
    assert (whole[iris][:, 2] > 3 * whole[iris][:, 0]).all()
    assert (np.ptp(whole[white], axis=1) < 25).mean() > 0.95
    below = (y > lower) & (np.abs(x) < 0.4 * outline.width)
    assert np.array_equal(whole[below], colours[below])

"""The interior of a mouth that is open in the photo."""

import numpy as np
import pytest

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.mouth_interior import split_depth
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine


def test_the_photos_upper_teeth_stay_while_the_jaw_opens(
    astronaut_face: Face, astronaut: Picture
) -> None:
    face = astronaut_face
    frame = WarpEngine().prepare(astronaut, face).frame({"jawOpen": 0.4})
    top, bottom = face.landmarks[[lm.LIP_INNER_TOP, lm.LIP_INNER_BOTTOM], :2]
    x, y = ((top + bottom) / 2).round().astype(int)
    own, shown = (image[y - 1 : y + 2, x - 4 : x + 5].astype(int) for image in (astronaut, frame))
    assert np.abs(own - shown).mean() < 8


@pytest.mark.parametrize(("lightest_at", "split"), [(0.7, 0.0), (0.35, 1.0)])
def test_lower_teeth_under_a_dark_go_with_the_jaw(lightest_at: float, split: float) -> None:
    depth = np.tile(np.linspace(0.01, 0.99, 60, dtype=np.float32), 5)
    light = 40 + 160 * np.exp(-0.5 * ((depth - lightest_at) / 0.15) ** 2)
    assert split_depth(depth, light.astype(np.float32)) == split


def test_the_border_is_the_dark_between_both_rows_of_teeth() -> None:
    depth = np.tile(np.linspace(0.01, 0.99, 60, dtype=np.float32), 5)
    light = np.where(np.abs(depth - 0.55) < 0.1, 30, 200).astype(np.float32)
    assert abs(split_depth(depth, light) - 0.55) < 0.1

"""The interior of a mouth that is open in the photo."""

import numpy as np

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import Face
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

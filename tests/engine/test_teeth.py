"""Drawn teeth."""

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.face import FaceFinder
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine


def test_teeth_are_darker_in_a_dark_photo(face_finder: FaceFinder, grace_hopper: Picture) -> None:
    def lightest(picture: Picture) -> float:
        face = face_finder.find(picture)[0]
        frame = WarpEngine().prepare(picture, face).frame({"jawOpen": 0.5, "mouthUpperUp": 0.6})
        x, y = face.landmarks[lm.LIP_INNER_TOP, :2].round().astype(int)
        return float(frame[y : y + 8, x - 10 : x + 10].mean(axis=-1).max())

    assert lightest(grace_hopper // 3) < 0.5 * lightest(grace_hopper)

"""How body and hair follow the head."""

import numpy as np
import pytest

from photoanimer_async.engine.blendshapes import BODY
from photoanimer_async.engine.body_motion import body_motion
from photoanimer_async.engine.curves import frame_times
from photoanimer_async.engine.expressions import EXPRESSIONS, Expression, motion
from photoanimer_async.engine.warp import smoothstep

TIMES = frame_times(96)
STILL = np.zeros_like(TIMES)


def test_a_still_head_moves_neither_torso_nor_hair() -> None:
    found = body_motion({}, STILL, TIMES)
    assert found.keys() == BODY.keys()
    assert not any(curve.any() for curve in found.values())


def test_the_torso_follows_later_and_less() -> None:
    yaw = 10 * smoothstep((TIMES - 1) / 0.5)
    lean = body_motion({"headYaw": yaw}, STILL, TIMES)["torsoLean"]
    assert 0.5 < lean.max() < 3
    half = [int(np.argmax(curve > curve.max() / 2)) for curve in (yaw, lean)]
    assert 2 <= half[1] - half[0] <= 12  # frames


def test_hair_lags_behind_and_swings_once() -> None:
    across = 0.1 * smoothstep((TIMES - 1) / 0.3)
    sway = body_motion({"headX": across}, STILL, TIMES)["hairSway"]
    assert sway.min() < -0.01  # behind, while the head moves to the right
    assert sway.max() > 0.005  # beyond, when it stops
    assert np.argmin(sway) < np.argmax(sway)
    assert abs(sway[80]) < 0.002


def test_shoulders_rise_with_breath() -> None:
    breath = np.sin(TIMES)
    rise = body_motion({}, breath, TIMES)["torsoRise"]
    assert np.corrcoef(rise[12:-12], -breath[12:-12])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("shown", EXPRESSIONS, ids=lambda shown: shown.name)
def test_body_motion_is_in_range_and_ends_in_the_photo(shown: Expression) -> None:
    moments = motion(shown.template, 3)
    for name, limit in (("torsoLean", 4), ("torsoRise", 0.05), ("hairSway", 0.06)):
        values = np.array([moment.get(name, 0.0) for moment in moments])
        assert np.abs(values).max() <= limit
        assert values[0] == values[-1] == 0

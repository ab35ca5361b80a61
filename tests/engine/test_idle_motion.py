"""Small random movement around curves."""

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async.engine.curves import FRAME_RATE, frame_times
from photoanimer_async.engine.eye_motion import Span
from photoanimer_async.engine.idle_motion import with_idle_motion
from photoanimer_async.engine.warp import smoothstep

SECONDS = 8
TIMES = frame_times(SECONDS * FRAME_RATE)
MOVING = slice(FRAME_RATE, -FRAME_RATE)
"""Frames away from both ends, at which everything comes to rest."""

Curve = NDArray[np.float64]


def idle(
    curves: dict[str, Curve] | None = None, seed: int = 0, busy: list[Span] | None = None
) -> dict[str, Curve]:
    """Return the curve of each coefficient of a motion with idle motion."""
    moments = with_idle_motion(curves or {}, TIMES, np.random.default_rng(seed), busy or [])
    assert len(moments) == len(TIMES)
    names = {name for moment in moments for name in moment}
    return {name: np.array([moment.get(name, 0.0) for moment in moments]) for name in names}


@pytest.mark.parametrize("seed", range(5))
def test_the_first_and_the_last_frame_are_still(seed: int) -> None:
    for name, curve in idle(seed=seed).items():
        assert curve[0] == curve[-1] == 0, name


@pytest.mark.parametrize("seed", range(5))
def test_a_face_without_expression_never_freezes(seed: int) -> None:
    found = idle(seed=seed)
    for name in ("headYaw", "headPitch", "headRoll"):
        steps = np.abs(np.diff(found[name][MOVING]))
        second = np.convolve(steps, np.ones(FRAME_RATE), "valid")
        assert second.min() > 0.02, name  # degrees
        assert np.abs(found[name]).max() < 1.5


def test_the_seed_determines_it() -> None:
    first, again, other = idle(seed=1), idle(seed=1), idle(seed=2)
    for name, curve in first.items():
        assert np.array_equal(curve, again[name])
    assert not np.array_equal(first["headYaw"], other["headYaw"])


@pytest.mark.parametrize("seed", range(5))
def test_both_eyes_blink_together_and_rarely(seed: int) -> None:
    found = idle(seed=seed)
    left, right = found["eyeBlinkLeft"], found["eyeBlinkRight"]
    assert np.array_equal(left, right)
    closings = np.flatnonzero((left[1:] > 0.9) & (left[:-1] <= 0.9))
    assert 1 <= len(closings) <= 3
    assert (np.diff(closings) > 2.5 * FRAME_RATE).all()


def test_busy_eyes_do_not_blink() -> None:
    for seed in range(20):
        found = idle(seed=seed, busy=[(0.0, 4.0)])
        for eye in ("eyeBlinkLeft", "eyeBlinkRight"):
            assert not found.get(eye, np.zeros(1))[: 4 * FRAME_RATE].any()


def test_a_blink_closes_eyes_that_are_wide_or_narrow() -> None:
    for wide in (-0.3, 0.4):
        found = idle({"eyeBlink": wide * smoothstep(TIMES / 0.5)})
        assert found["eyeBlinkLeft"].max() == pytest.approx(1)


def test_a_paired_coefficient_moves_both_sides_slightly_unevenly() -> None:
    smile = 0.8 * np.sin(np.pi * TIMES / TIMES[-1])
    found = idle({"mouthSmile": smile, "browUp": smile})
    left, right = found["mouthSmileLeft"], found["mouthSmileRight"]
    assert (left + right) / 2 == pytest.approx(smile)
    assert 0.06 < abs(left[96] - right[96]) / smile[96] < 0.2
    assert np.array_equal(found["browUpLeft"], found["browUpRight"])


def test_a_coefficient_of_one_side_stays_on_it() -> None:
    found = idle({"mouthSmileLeft": np.sin(np.pi * TIMES / TIMES[-1])})
    assert "mouthSmileRight" not in found


def test_heads_turn_further_than_their_keyframes_since_the_body_moves_along() -> None:
    yaw = 9 * np.sin(np.pi * TIMES / TIMES[-1])
    found = idle({"headYaw": yaw})
    assert found["headYaw"][96] == pytest.approx(1.3 * 9, abs=1.5)
    assert found["torsoLean"].max() > 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_head_follows_the_gaze(seed: int) -> None:
    """The eyes jump; the head turns the same way, later and more slowly."""
    found = idle(seed=seed)
    gaze, yaw = found["gazeX"][MOVING], found["headYaw"][MOVING]
    jumps = np.flatnonzero(np.abs(np.diff(gaze)) > 0.02)
    assert len(jumps) >= 2
    assert np.abs(np.diff(gaze)).max() / np.ptp(gaze) > 0.25
    assert np.abs(np.diff(yaw)).max() / np.ptp(yaw) < 0.15


def test_the_head_nods_and_the_shoulders_rise_with_the_breath() -> None:
    found = idle(seed=3)
    rise, lift = found["torsoRise"][MOVING], found["headY"][MOVING]
    assert np.corrcoef(rise, -lift)[0, 1] == pytest.approx(1, abs=1e-6)
    assert np.ptp(rise) > 0.01

"""Blinks and glances."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photoanimer_async.engine.curves import frame_times
from photoanimer_async.engine.expressions import EXPRESSIONS, Expression, motion
from photoanimer_async.engine.eye_motion import (
    HEAD_LAG,
    HEAD_TURN,
    SACCADE,
    Blink,
    fixations,
    moving_to,
    natural_blinks,
)

SEEDS = range(40)
LONG = 60.0


def blinks_of(seed: int, seconds: float = LONG) -> list[Blink]:
    return natural_blinks(seconds, (), np.random.default_rng(seed))


@given(st.floats(0.1, 2))
def test_every_blink_has_a_frame_with_closed_eyes(at: float) -> None:
    curve = Blink(at).curve(frame_times(72))
    assert curve.max() == 1
    assert curve[0] == curve[-1] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_lids_close_in_100_to_150_ms_and_open_in_200_to_300(seed: int) -> None:
    times = np.arange(0, LONG, 0.001)
    for blink in blinks_of(seed):
        moving = np.diff(blink.curve(times))
        assert 0.100 <= (moving > 0).sum() * 0.001 <= 0.150
        assert 0.200 <= (moving < 0).sum() * 0.001 <= 0.300


@pytest.mark.parametrize("seed", SEEDS)
def test_eyes_blink_every_3_to_5_seconds(seed: int) -> None:
    starts = [blink.at for blink in blinks_of(seed)]
    assert starts[0] < 3
    assert all(3 <= after - before <= 5 for before, after in itertools.pairwise(starts))
    assert starts[-1] > LONG - 5.5


def closed(template: int, seed: int) -> NDArray[np.intp]:
    """Return the frames in which a template's right eye begins to be closed."""
    shut = np.array([moment.get("eyeBlinkRight", 0) > 0.7 for moment in motion(template, seed)])
    return np.flatnonzero(np.diff(shut.astype(int), prepend=0) == 1)


@pytest.mark.parametrize("shown", EXPRESSIONS, ids=lambda shown: shown.name)
def test_templates_blink_at_times_of_each_photo(shown: Expression) -> None:
    times = [closed(shown.template, seed) / 24 for seed in SEEDS]
    if shown.name in ("wink", "kiss"):
        assert all(len(starts) == (shown.name == "kiss") for starts in times)
        return
    assert all(len(starts) >= 1 for starts in times)
    assert all((np.diff(starts) > 2.9).all() for starts in times)
    first = np.array([starts[0] for starts in times])
    assert len(set(first)) >= 5
    for start, end in shown.eyes_busy:
        assert not any(((starts > start) & (starts < end)).any() for starts in times)


def test_the_head_follows_the_gaze() -> None:
    times = np.arange(0, 12, 0.01)
    points = fixations(times, np.random.default_rng(4))
    assert len(points) >= 5
    eyes, _ = moving_to(points, times, 0, SACCADE)
    head, _ = moving_to(points, times, HEAD_LAG, HEAD_TURN)
    for before, after in itertools.pairwise(points[:-1]):
        arrived = np.searchsorted(times, after.at + SACCADE + 0.01)
        assert eyes[arrived] == pytest.approx(after.x)
        assert head[arrived] == pytest.approx(before.x, abs=0.05)  # has hardly begun
        followed = np.searchsorted(times, after.at + HEAD_LAG + HEAD_TURN + 0.01)
        assert head[followed] == pytest.approx(after.x)


@given(st.integers(0, 10**9), st.integers(2, 400))
def test_glances_stay_within_bounds_and_return(seed: int, count: int) -> None:
    times = frame_times(count)
    points = fixations(times, np.random.default_rng(seed))
    assert all(abs(point.x) <= 1 and abs(point.y) <= 0.6 for point in points)
    assert all(
        0.6 <= after.at - before.at <= 1.8 for before, after in itertools.pairwise(points[1:])
    )
    across, down = moving_to(points, times, 0, SACCADE)
    assert across.shape == down.shape == (count,)
    assert np.abs(across).max() <= 1
    assert across[0] == down[0] == 0

"""Movements of the eyes: blinks, and glances that the head follows.

Theory of operation. People blink every 3 to 5 seconds; the lids close in 100 to 150 ms and open in
200 to 300. The gaze moves in jumps (*saccades*) between points at which it rests (*fixations*): now
and then aside, and back to the viewer. The head begins to turn a little later, and slowly.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from attrs import frozen

from photoanimer_async.engine.curves import Curve, monotone
from photoanimer_async.engine.warp import smoothstep

Span: TypeAlias = tuple[float, float]
"""Start and end, in seconds."""

BLINK_INTERVAL = (3.0, 5.0)
"""Shortest and longest time between the starts of two blinks, in seconds."""

FIRST_BLINK = (0.5, 2.4)
"""Earliest and latest start of the first blink, in seconds."""

_CLOSING, _OPENING = (0.105, 0.145), (0.21, 0.29)
_TRIES = 100

PAUSES = (0.6, 1.8)
"""Shortest and longest time between two movements of the eyes, in seconds."""

SACCADE = 0.06
"""Duration of a jump of the eyes, in seconds."""

HEAD_LAG, HEAD_TURN = 0.08, 0.48
"""How long after the eyes the head begins to follow, and how long it turns, in seconds."""

_STAY_AWAY = 0.4
"""Probability that the eyes do not return to the viewer from a glance aside."""


@frozen
class Blink:
    """One blink of the eyes, which close in 100 to 150 ms and open in 200 to 300.

    Attributes:
        at: Time at which the lids begin to close.
        close: Duration of closing.
        hold: Duration for which they stay closed: at least one frame, so that every blink shows.
        open: Duration of opening.
    """

    at: float
    close: float = 0.125
    hold: float = 0.045
    open: float = 0.25

    def curve(self, times: Curve) -> Curve:
        """Return how far the lids are closed, 0 to 1."""
        shut = smoothstep((times - self.at) / self.close)
        opened = smoothstep((times - self.at - self.close - self.hold) / self.open)
        return np.asarray(shut * (1 - opened))

    @property
    def end(self) -> float:
        """Time at which the lids are open again."""
        return self.at + self.close + self.hold + self.open


def blinking(blinks: Sequence[Blink], times: Curve) -> Curve:
    """Return how far the lids are closed by any of the blinks, 0 to 1."""
    return np.asarray(
        np.max([np.zeros_like(times), *(blink.curve(times) for blink in blinks)], axis=0)
    )


def natural_blinks(
    seconds: float, eyes_busy: Sequence[Span] | Curve, rng: np.random.Generator
) -> list[Blink]:
    """Return blinks every 3 to 5 seconds that end in time, and none while the eyes are busy."""
    for _ in range(_TRIES):
        blinks = list(_blinks(seconds, rng))
        if not any(
            blink.at < end and start < blink.end for blink in blinks for start, end in eyes_busy
        ):
            return blinks
    return []


def _blinks(seconds: float, rng: np.random.Generator) -> Iterator[Blink]:
    at = rng.uniform(*FIRST_BLINK)
    while True:
        blink = Blink(at, close=rng.uniform(*_CLOSING), open=rng.uniform(*_OPENING))
        if blink.end > seconds:
            return
        yield blink
        at += rng.uniform(*BLINK_INTERVAL)


@frozen
class Fixation:
    """A point at which the eyes rest until the next one.

    Attributes:
        at: Time at which the eyes jump to it, in seconds.
        x: Position across, -1 to 1; 0 is the viewer.
        y: Position downwards, -1 to 1.
    """

    at: float
    x: float
    y: float


def fixations(times: Curve, rng: np.random.Generator) -> list[Fixation]:
    """Return random glances aside and back at the viewer, `PAUSES` seconds apart."""
    points = [Fixation(float(times[0]), 0, 0)]
    at = float(times[0]) + rng.uniform(0.3, 0.8)
    while at < times[-1]:
        away = points[-1].x == 0 or rng.uniform() < _STAY_AWAY
        x, y = (rng.uniform(-1, 1), rng.uniform(-0.6, 0.6)) if away else (0, 0)
        points.append(Fixation(at, x, y))
        at += rng.uniform(*PAUSES)
    return points


def moving_to(
    points: Sequence[Fixation], times: Curve, delay: float, duration: float
) -> tuple[Curve, Curve]:
    """Return the position, across and downwards, of something that moves to each fixation.

    Args:
        points: The fixations, by time.
        times: Times of the curves.
        delay: Seconds from each fixation to the start of the movement.
        duration: Seconds of each movement; less than the shortest of `PAUSES` with the delay.
    """
    knots = [(float(times[0]) - 1, points[0].x, points[0].y)]
    for point in points[1:]:
        knots.append((point.at + delay, *knots[-1][1:]))
        knots.append((point.at + delay + duration, point.x, point.y))
    knots.append((max(knots[-1][0], float(times[-1])) + 1, *knots[-1][1:]))
    across = monotone([(t, x) for t, x, _ in knots], times)
    return across, monotone([(t, y) for t, _, y in knots], times)

"""Animation curves: interpolated keyframes, and slow random motion.

All times are in seconds. A curve is evaluated at an array of times, shape (n,), and returned in
the same shape. Random curves depend on the given generator only.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from photoanimer_async.engine.warp import smoothstep

FRAME_RATE = 24
"""Frames per second of every video."""

Curve: TypeAlias = NDArray[np.float64]
Knot: TypeAlias = tuple[float, float]
"""Time in seconds, value."""


def frame_times(frame_count: int) -> Curve:
    """Return the start time of each frame, in seconds."""
    return np.arange(frame_count) / FRAME_RATE


def monotone(knots: Sequence[Knot], times: Curve) -> Curve:
    """Interpolate knots by a cubic curve that does not overshoot (PCHIP).

    The slope at an inner knot is the weighted harmonic mean of its neighbours' slopes (Fritsch
    and Butland). It is zero at extrema and at both ends, so a held value stays constant, and a
    movement starts and stops smoothly. Outside the knots, the curve has the value of the nearest.

    Raises:
        ValueError: The times of the knots are not strictly increasing.
    """
    at, value = np.array(knots, np.float64).T
    span = np.diff(at)
    if (span <= 0).any():
        raise ValueError(f"the times of the knots must be strictly increasing: {knots}")
    rise = np.diff(value) / span
    slope = np.zeros_like(value)
    before, after = rise[:-1], rise[1:]
    weight_before, weight_after = 2 * span[1:] + span[:-1], span[1:] + 2 * span[:-1]
    monotonic = before * after > 0
    product = ((weight_before + weight_after) * before * after)[monotonic]
    slope[1:-1][monotonic] = product / (weight_before * after + weight_after * before)[monotonic]
    piece = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(span) - 1)
    s = np.clip((times - at[piece]) / span[piece], 0, 1)
    start = (
        value[piece] * (1 + 2 * s) * (1 - s) ** 2 + slope[piece] * span[piece] * s * (1 - s) ** 2
    )
    end = value[piece + 1] * s**2 * (3 - 2 * s) - slope[piece + 1] * span[piece] * s**2 * (1 - s)
    return np.asarray(start + end)


def neutral_ends(times: Curve, ramp: float) -> Curve:
    """Return a weight that is exactly 0 at the first and the last time, and 1 beyond `ramp`."""
    return smoothstep(np.minimum(times - times[0], times[-1] - times) / ramp)


def sway(times: Curve, hertz: float, rng: np.random.Generator) -> Curve:
    """Return slow random oscillation about 0, mostly within -1 to 1: a sum of three sine waves."""
    rates = hertz * np.array([1.0, 1.618, 2.414]) * rng.uniform(0.9, 1.1, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * rates * times[:, None] + phases)
    return np.asarray(waves @ np.array([0.55, 0.3, 0.15]))

"""Animation curves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.engine.curves import frame_times, monotone, neutral_ends

values = st.floats(-10, 10, allow_subnormal=False)


@given(st.lists(st.tuples(st.floats(0.05, 2), values), min_size=2, max_size=8))
def test_a_curve_meets_its_knots_without_overshoot(steps: list[tuple[float, float]]) -> None:
    at = np.cumsum([span for span, _ in steps])
    value = np.array([value for _, value in steps])
    knots = list(zip(at.tolist(), value.tolist(), strict=True))
    assert monotone(knots, at) == pytest.approx(value)
    times = np.linspace(at[0], at[-1], 200)
    piece = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(at) - 2)
    curve = monotone(knots, times)
    low = np.minimum(value[piece], value[piece + 1])
    high = np.maximum(value[piece], value[piece + 1])
    assert (curve >= low - 1e-9).all()
    assert (curve <= high + 1e-9).all()


def test_a_slope_of_almost_nothing_is_no_overflow() -> None:
    smallest = np.finfo(float).tiny
    assert monotone([(0, 1), (1, 0), (3, -smallest)], np.array([1.0]))[0] == 0


def test_a_curve_is_constant_outside_its_knots() -> None:
    assert monotone([(1, 2), (2, 5)], np.array([0.0, 3.0])).tolist() == [2, 5]


def test_knots_must_have_increasing_times() -> None:
    with pytest.raises(ValueError, match="must be strictly increasing"):
        monotone([(0, 0), (1, 1), (1, 2)], np.zeros(1))


@given(st.integers(2, 300))
def test_neutral_ends_are_exactly_zero(count: int) -> None:
    weight = neutral_ends(frame_times(count), 0.4)
    assert weight[0] == weight[-1] == 0
    assert ((weight >= 0) & (weight <= 1)).all()

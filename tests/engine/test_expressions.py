"""Templates, curves and the small movement over them.

The golden coefficients are rewritten from what is there now by::

    PHOTOANIMER_WRITE_GOLDEN=1 python -m pytest tests/engine/test_expressions.py
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.engine.curves import (
    Blink,
    frame_times,
    monotone,
    neutral_ends,
    saccades,
)
from photoanimer_async.engine.expressions import EXPRESSIONS, Expression, expression, frames, motion
from photoanimer_async.engine.shapes import NAMES

GOLDEN = Path(__file__).parent / "golden" / "coefficients.json"
TEMPLATES = range(6)
every_expression = pytest.mark.parametrize("shown", EXPRESSIONS, ids=lambda shown: shown.name)


def test_templates_have_the_lengths_of_the_api() -> None:
    assert [frames(template) for template in TEMPLATES] == [75, 171, 51, 162, 105, 90]
    assert [expression(t).seconds for t in TEMPLATES] == [3.125, 7.125, 2.125, 6.75, 4.375, 3.75]
    assert [shown.template for shown in EXPRESSIONS] == list(TEMPLATES)


@pytest.mark.parametrize("template", [-1, 6])
def test_an_unknown_template_is_refused(template: int) -> None:
    with pytest.raises(ValueError, match=f"no template {template}; there are 0 to 5"):
        expression(template)


@every_expression
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_a_template_starts_and_ends_at_the_photo_itself(shown: Expression, seed: int) -> None:
    moved = motion(shown.template, seed)
    assert len(moved) == shown.frames
    assert moved[0] == moved[-1] == {}
    assert all(moved[1:-1])


@every_expression
def test_coefficients_are_known_and_within_what_a_photo_bears(shown: Expression) -> None:
    moved = motion(shown.template, seed=5)
    assert {name for coefficients in moved for name in coefficients} <= set(NAMES)
    for coefficients in moved:
        for name, value in coefficients.items():
            match name:
                case "headYaw":
                    assert abs(value) <= 12
                case "headRoll":
                    assert abs(value) <= 4
                case "headPitch":
                    assert abs(value) <= 6
                case "eyeBlinkLeft" | "eyeBlinkRight":
                    assert -0.3 <= value <= 1
                case _:
                    assert abs(value) <= 1


@every_expression
def test_blinks_neither_overlap_nor_are_cut_off(shown: Expression) -> None:
    ends = 0.0
    for blink in shown.blinks:
        assert blink.at > ends
        ends = blink.end
    assert ends < (shown.frames - 1) / 24


@every_expression
def test_the_same_seed_gives_the_same_motion_and_another_a_slightly_other(
    shown: Expression,
) -> None:
    one, same, other = (motion(shown.template, seed) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    yaw = np.array([[c.get("headYaw", 0) for c in moved] for moved in (one, other)])
    assert np.abs(yaw[0] - yaw[1]).max() < 2


def test_coefficients_are_the_golden_ones() -> None:
    """Every sixth frame of each template; written once, so that no change goes unseen."""
    now = {
        shown.name: [
            {name: round(value, 4) for name, value in sorted(coefficients.items())}
            for coefficients in motion(shown.template, seed=0)[::6]
        ]
        for shown in EXPRESSIONS
    }
    if os.environ.get("PHOTOANIMER_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(now, indent=None, separators=(",", ":")) + "\n", "utf-8")
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert golden.keys() == now.keys()
    for name, moments in golden.items():
        assert len(moments) == len(now[name])
        for at, (then, coefficients) in enumerate(zip(moments, now[name], strict=True)):
            assert coefficients == pytest.approx(then, abs=2e-4), f"{name}, frame {6 * at}"


values = st.floats(-10, 10, allow_subnormal=False)


@given(st.lists(st.tuples(st.floats(0.05, 2), values), min_size=2, max_size=8))
def test_a_curve_meets_its_knots_and_never_swings_beyond_them(
    steps: list[tuple[float, float]],
) -> None:
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


def test_a_curve_keeps_its_values_outside_its_knots() -> None:
    assert monotone([(1, 2), (2, 5)], np.array([0.0, 3.0])).tolist() == [2, 5]


def test_a_curve_whose_times_do_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="must rise"):
        monotone([(0, 0), (1, 1), (1, 2)], np.zeros(1))


@given(st.floats(0.1, 2))
def test_a_blink_always_shows_a_closed_eye(at: float) -> None:
    times = frame_times(72)
    curve = Blink(at).curve(times)
    assert curve.max() == 1
    assert curve[0] == curve[-1] == 0


def test_a_blink_closes_faster_than_it_opens() -> None:
    times = np.arange(0, 1, 0.001)
    curve = Blink(0.2).curve(times)
    closing = ((curve > 0.1) & (curve < 0.9) & (times < 0.3)).sum()
    opening = ((curve > 0.1) & (curve < 0.9) & (times > 0.3)).sum()
    assert closing < 0.7 * opening


@given(st.integers(0, 10**9), st.integers(2, 400))
def test_saccades_stay_within_bounds(seed: int, count: int) -> None:
    across, down = saccades(frame_times(count), np.random.default_rng(seed))
    assert across.shape == down.shape == (count,)
    assert np.abs(across).max() <= 1
    assert np.abs(down).max() <= 1


@given(st.integers(2, 300))
def test_ends_are_exactly_neutral(count: int) -> None:
    weight = neutral_ends(frame_times(count), 0.4)
    assert weight[0] == weight[-1] == 0
    assert ((weight >= 0) & (weight <= 1)).all()

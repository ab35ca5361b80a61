"""The expressions and their motion.

Write the golden coefficients anew with::

    PHOTOANIMER_WRITE_GOLDEN=1 python -m pytest tests/engine/test_expressions.py
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from photoanimer_async import Template
from photoanimer_async.engine.blendshapes import NAMES, FaceMotion
from photoanimer_async.engine.curves import monotone
from photoanimer_async.engine.expressions import (
    EXPRESSIONS,
    MAX_LAG,
    Expression,
    expression,
    motion,
)

from ..support.pages import page

GOLDEN = Path(__file__).parent / "golden" / "coefficients.json"


TEMPLATES = range(6)


every_expression = pytest.mark.parametrize("shown", EXPRESSIONS, ids=lambda shown: shown.name)


def test_templates_have_the_durations_of_the_api() -> None:
    assert [expression(template).frames for template in TEMPLATES] == [75, 171, 51, 162, 105, 90]
    assert [expression(t).seconds for t in TEMPLATES] == [3.125, 7.125, 2.125, 6.75, 4.375, 3.75]
    assert [shown.template for shown in EXPRESSIONS] == list(TEMPLATES)


def test_the_page_has_the_name_and_the_price_of_every_template() -> None:
    rows = re.findall(
        r"^\| (\d) \| `([\w-]+)` \| ([\d.]+) \|", page("engine/README.md").text, re.MULTILINE
    )
    assert rows == [(str(each.value), each.expression, str(each.seconds)) for each in Template]


def test_expressions_have_the_names_of_the_templates() -> None:
    assert [shown.name for shown in EXPRESSIONS] == [each.expression for each in Template]


@pytest.mark.parametrize("template", [-1, 6])
def test_an_unknown_template_is_rejected(template: int) -> None:
    with pytest.raises(ValueError, match=f"template {template} does not exist; use 0 to 5"):
        expression(template)


@every_expression
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_first_and_last_frame_are_the_photo(shown: Expression, seed: int) -> None:
    moved = motion(shown.template, seed)
    assert len(moved) == shown.frames
    assert moved[0] == moved[-1] == {}
    assert all(moved[1:-1])


@every_expression
def test_coefficients_exist_and_are_in_range(shown: Expression) -> None:
    moved = motion(shown.template, seed=5)
    assert {name for coefficients in moved for name in coefficients} <= set(NAMES)
    for coefficients in moved:
        for name, value in coefficients.items():
            match name:
                case "headYaw":
                    assert abs(value) <= 15
                case "headRoll":
                    assert abs(value) <= 6
                case "headPitch":
                    assert abs(value) <= 8
                case "torsoLean":
                    assert abs(value) <= 4
                case "eyeBlinkLeft" | "eyeBlinkRight":
                    assert -0.3 <= value <= 1
                case _:
                    assert abs(value) <= 1


@every_expression
def test_movements_start_and_stop_softly(shown: Expression) -> None:
    """The first and the last step of every keyframed curve are small parts of its largest."""
    times = np.linspace(0, shown.seconds - 1 / 24, 2000)
    for name, knots in shown.curves.items():
        curve = monotone([(0.0, 0.0), *knots, (float(times[-1]), 0.0)], times)
        steps = np.abs(np.diff(curve))
        assert max(steps[0], steps[-1]) <= 0.05 * steps.max(), name
        assert np.abs(np.diff(steps)).max() <= 0.2 * steps.max(), name


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_smile_is_held_for_a_moment(template: int) -> None:
    moved = motion(template, seed=3)
    smile = np.array([moment.get("mouthSmileLeft", 0) for moment in moved])
    assert (smile >= 0.85 * smile.max()).sum() / 24 >= 0.4


@every_expression
def test_the_seed_determines_small_differences_of_the_motion(shown: Expression) -> None:
    one, same, other = (motion(shown.template, seed) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    yaw = np.array([[c.get("headYaw", 0) for c in moved] for moved in (one, other)])
    assert np.abs(yaw[0] - yaw[1]).max() < 2


@every_expression
@pytest.mark.parametrize("lag", [-MAX_LAG, MAX_LAG])
def test_people_in_a_group_show_the_same_expression_in_turn(shown: Expression, lag: float) -> None:
    first, other = motion(shown.template, 3), motion(shown.template, 3, lag)
    assert len(other) == shown.frames
    assert other[0] == other[-1] == {}
    pitch = np.array([[c.get("headPitch", 0) for c in moved] for moved in (first, other)])
    middle = slice(shown.frames // 4, -shown.frames // 4)
    frames = round(lag * 24)
    moved_on = np.roll(pitch[0], frames)[middle]
    assert np.corrcoef(moved_on, pitch[1][middle])[0, 1] > 0.9
    assert np.corrcoef(moved_on, pitch[1][middle])[0, 1] > np.corrcoef(*pitch[:, middle])[0, 1]


def test_coefficients_equal_the_golden_file() -> None:
    """Compare every sixth frame of each template."""
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


def test_no_single_turn_of_the_head_stands_out() -> None:
    """The head looks to both sides at about the pace of its other turns."""
    yaw = np.array([moment.get("headYaw", 0.0) for moment in motion(1, 1)])
    speed = np.abs(np.diff(yaw))
    assert speed.max() < 4.5 * speed.mean()
    assert yaw.max() > 10
    assert yaw.min() < -10


FAR_LEFT, FAR_RIGHT = -20.0, 20.0
"""Yaw of a face whose left or right side is the far one, in degrees."""


def curve(moved: Sequence[FaceMotion], name: str) -> NDArray[np.float64]:
    return np.array([moment.get(name, 0.0) for moment in moved])


def test_a_wink_is_on_the_near_side_of_a_turned_face() -> None:
    shown, mirrored = motion(2, 3), motion(2, 3, yaw=FAR_LEFT)
    assert motion(2, 3, yaw=FAR_RIGHT) == shown
    for name in ("eyeBlink", "mouthSmile", "cheekSquint", "browUp", "browDown"):
        for side, other in (("Left", "Right"), ("Right", "Left")):
            then, now = curve(shown, name + side), curve(mirrored, name + other)
            assert now == pytest.approx(then), name
    assert curve(shown, "eyeBlinkLeft").max() == curve(mirrored, "eyeBlinkRight").max() == 1
    for name in ("headYaw", "headRoll"):
        assert np.corrcoef(curve(shown, name), curve(mirrored, name))[0, 1] < -0.8, name
    assert np.corrcoef(curve(shown, "headPitch"), curve(mirrored, "headPitch"))[0, 1] > 0.99


@pytest.mark.parametrize("yaw", [-5.0, 0.0, 5.0])
def test_a_wink_is_on_the_left_of_a_frontal_face(yaw: float) -> None:
    assert motion(2, 3, yaw=yaw) == motion(2, 3)


@every_expression
def test_expressions_without_a_side_do_not_depend_on_yaw(shown: Expression) -> None:
    same = motion(shown.template, 3, yaw=FAR_LEFT) == motion(shown.template, 3)
    assert same == (shown.name != "wink")

"""Body motion: how torso and hair follow the head, and breath.

A torso leans after the head, a little later and a little less. Loose hair hangs on a spring: it
lags behind while the head moves, and swings once when it stops.
"""

from collections.abc import Mapping

import numpy as np

from photoanimer_async.engine.curves import FRAME_RATE, Curve, neutral_ends

_LEAN_WITH_ROLL, _LEAN_WITH_YAW = 0.28, 0.16
"""Degrees by which the torso leans, for each degree of the head."""

_TORSO_STIFFNESS, _TORSO_DAMPING = 7.0, 1.0
_HAIR_STIFFNESS, _HAIR_DAMPING = 12.0, 0.35
"""Frequencies of the springs, in radians a second, and their damping: 1 does not swing."""

_HAIR_WITH_YAW, _HAIR_WITH_ROLL = 0.012, 0.014
"""Way of the hair, in u, for each degree of the head."""

_MOST_SWAY = 0.06
"""Limit of the sway, in u, which is approached smoothly."""

_BREATH = 0.014
"""How far the shoulders rise and sink, in u."""

_STEPS = 4
"""Steps of the springs' simulation in a frame."""

_RAMP = 0.4
"""Seconds in which body motion begins and ends."""


def body_motion(head: Mapping[str, Curve], breath: Curve, times: Curve) -> dict[str, Curve]:
    """Return curves of the coefficients of `blendshapes.BODY`, 0 at both ends.

    Args:
        head: Curves of the head's coefficients, shape (n,) each; a missing one is 0.
        breath: Random oscillation, -1 to 1, shape (n,); the chest is full at -1.
        times: Time of each frame, in seconds, shape (n,).
    """
    yaw, roll, across = (
        head.get(name, np.zeros_like(times)) for name in ("headYaw", "headRoll", "headX")
    )
    weight = neutral_ends(times, _RAMP)
    lean = _LEAN_WITH_ROLL * roll + _LEAN_WITH_YAW * yaw
    way = across + _HAIR_WITH_YAW * yaw + _HAIR_WITH_ROLL * roll
    sway = _on_spring(way, _HAIR_STIFFNESS, _HAIR_DAMPING) - way
    return {
        "torsoLean": weight * _on_spring(lean, _TORSO_STIFFNESS, _TORSO_DAMPING),
        "torsoRise": weight * -_BREATH * breath,
        "hairSway": weight * _MOST_SWAY * np.tanh(sway / _MOST_SWAY),
    }


def _on_spring(target: Curve, stiffness: float, damping: float) -> Curve:
    """Return the way of a mass that a spring pulls towards a moving target."""
    step = 1 / (FRAME_RATE * _STEPS)
    place, speed = float(target[0]), 0.0
    way = np.empty_like(target)
    for frame, goal in enumerate(target.tolist()):
        for _ in range(_STEPS):
            force = stiffness * (goal - place) - 2 * damping * speed
            speed += stiffness * force * step
            place += speed * step
        way[frame] = place
    return way

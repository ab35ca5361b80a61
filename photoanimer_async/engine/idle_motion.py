"""Idle motion: small random movement without which an animated face looks frozen.

It adds blinks, breathing, sway of the head, saccades of the gaze that the head follows, a slight
asymmetry of the mouth, and the body that follows the head. It is random, but seeded by the photo,
so that the same photo always moves in the same way. It is 0 in the first and the last frame.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from photoanimer_async.engine.blendshapes import NAMES, FaceMotion
from photoanimer_async.engine.body_motion import body_motion
from photoanimer_async.engine.curves import Curve, neutral_ends, sway
from photoanimer_async.engine.eye_motion import (
    HEAD_LAG,
    HEAD_TURN,
    SACCADE,
    Span,
    blinking,
    fixations,
    moving_to,
    natural_blinks,
)

_HEAD_GAIN = 1.3
"""How much further a head moves than its keyframes say, since the body moves with it."""

_FURTHER = ("headYaw", "headPitch", "headRoll", "headX", "headY")


def with_idle_motion(
    curves: Mapping[str, Curve],
    times: Curve,
    rng: np.random.Generator,
    eyes_busy: Sequence[Span] | Curve = (),
) -> list[FaceMotion]:
    """Add blinks and idle motion to curves, and return the motion of each frame.

    Args:
        curves: Values of coefficients, shape (n,) each; a paired coefficient may have no side.
        times: Time of each frame, in seconds.
        rng: The source of randomness.
        eyes_busy: When the eyes do not blink: start and end of each span, in seconds.
    """
    blink = blinking(natural_blinks(float(times[-1]), eyes_busy, rng), times)
    sided = _with_sides(curves, rng)
    for eye in ("eyeBlinkLeft", "eyeBlinkRight"):
        before = sided.get(eye, np.zeros_like(times))
        sided[eye] = before + (1 - before) * blink  # a blink also closes wide open eyes
    breath = sway(times, 0.27, rng)
    for name, small in _small_motion(times, breath, rng).items():
        sided[name] = sided.get(name, np.zeros_like(times)) + small
    sided |= body_motion(sided, breath, times)
    return [
        {name: float(curve[frame]) for name, curve in sided.items() if curve[frame] != 0}
        for frame in range(len(times))
    ]


def _with_sides(curves: Mapping[str, Curve], rng: np.random.Generator) -> dict[str, Curve]:
    """Split paired coefficients into left and right, slightly uneven for mouth and cheeks."""
    uneven = rng.uniform(0.04, 0.09) * rng.choice([-1, 1])
    sided: dict[str, Curve] = {}
    for name, curve in curves.items():
        if name in NAMES:
            sided[name] = curve * (_HEAD_GAIN if name in _FURTHER else 1)
            continue
        lean = uneven if name.startswith(("mouth", "cheek")) else 0
        sided[name + "Left"] = curve * (1 + lean)
        sided[name + "Right"] = curve * (1 - lean)
    return sided


def _small_motion(times: Curve, breath: Curve, rng: np.random.Generator) -> dict[str, Curve]:
    """Return nods with the breath, sway and glances, exactly 0 in the first and the last frame."""
    weight = neutral_ends(times, 0.4)
    points = fixations(times, rng)
    across, down = moving_to(points, times, 0, SACCADE)
    head_across, head_down = moving_to(points, times, HEAD_LAG, HEAD_TURN)
    return {
        "headYaw": weight * (0.45 * sway(times, 0.21, rng) + 0.5 * head_across),
        "headPitch": weight * (0.3 * breath + 0.25 * sway(times, 0.33, rng) + 0.3 * head_down),
        "headRoll": weight * 0.35 * sway(times, 0.17, rng),
        "headY": weight * 0.006 * breath,
        "gazeX": weight * 0.14 * across,
        "gazeY": weight * 0.10 * down,
    }

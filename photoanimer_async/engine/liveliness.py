"""What no one plans: the small movement without which a face looks frozen.

Breath, a little sway of the head, small jumps of the gaze between rests, a smile that is not
quite even. All of it is drawn from a generator that is seeded by the photo, so that the same
photo always moves the same way, and all of it is nothing in the first and in the last frame.
"""

from collections.abc import Mapping

import numpy as np

from photoanimer_async.engine.curves import Curve, neutral_ends, saccades, sway
from photoanimer_async.engine.shapes import NAMES, FaceMotion


def alive(
    curves: Mapping[str, Curve], blink: Curve, times: Curve, rng: np.random.Generator
) -> list[FaceMotion]:
    """Planned curves with sides, blinks and small unplanned movement, frame by frame."""
    sided = _with_sides(curves, rng)
    for eye in ("eyeBlinkLeft", "eyeBlinkRight"):
        planned = sided.get(eye, np.zeros_like(times))
        sided[eye] = planned + (1 - planned) * blink  # a blink closes wide eyes too
    for name, small in _unplanned(times, rng).items():
        sided[name] = sided.get(name, np.zeros_like(times)) + small
    return [
        {name: float(curve[frame]) for name, curve in sided.items() if curve[frame] != 0}
        for frame in range(len(times))
    ]


def _with_sides(curves: Mapping[str, Curve], rng: np.random.Generator) -> dict[str, Curve]:
    """Paired coefficients on both sides, the mouth's a little uneven, as real ones are."""
    uneven = rng.uniform(0.04, 0.09) * rng.choice([-1, 1])
    sided: dict[str, Curve] = {}
    for name, curve in curves.items():
        if name in NAMES:
            sided[name] = curve
            continue
        lean = uneven if name.startswith(("mouth", "cheek")) else 0
        sided[name + "Left"] = curve * (1 + lean)
        sided[name + "Right"] = curve * (1 - lean)
    return sided


def _unplanned(times: Curve, rng: np.random.Generator) -> dict[str, Curve]:
    """Breath, sway and saccades, exactly 0 in the first frame and in the last."""
    weight = neutral_ends(times, 0.4)
    across, down = saccades(times, rng)
    breath = sway(times, 0.27, rng)
    return {
        "headYaw": weight * 0.6 * sway(times, 0.21, rng),
        "headPitch": weight * (0.3 * breath + 0.3 * sway(times, 0.33, rng)),
        "headRoll": weight * 0.35 * sway(times, 0.17, rng),
        "headY": weight * 0.006 * breath,
        "gazeX": weight * 0.10 * across,
        "gazeY": weight * 0.08 * down,
    }

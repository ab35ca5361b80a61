"""The six expressions as keyframes, and their motion.

An `Expression` has the keyframes, (seconds, value), of some coefficients; `blendshapes.NAMES`
describes these. All curves begin and end at 0, that is with the photo itself; these two keyframes
are omitted. A paired coefficient without a side ("mouthSmile") stands for both sides. To add an
expression, append it to `EXPRESSIONS`.

A one-sided expression, such as a wink, is mirrored where the left side of the face is the far one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import field, frozen

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.curves import (
    FRAME_RATE,
    Curve,
    Knot,
    frame_times,
    monotone,
)
from photoanimer_async.engine.eye_motion import Span
from photoanimer_async.engine.idle_motion import with_idle_motion


@frozen
class Expression:
    """The expression of one template.

    Attributes:
        template: The template's number in the API.
        name: A short name for files and tables.
        title: A title of a few words.
        description: One sentence about what is visible.
        frames: Number of frames, at 24 per second.
        curves: Keyframes of each coefficient, without the first and the last.
        eyes_busy: When the eyes do not blink by themselves, in seconds.
    """

    template: int
    name: str
    title: str
    description: str
    frames: int
    curves: Mapping[str, Sequence[Knot]] = field(repr=False)
    eyes_busy: Sequence[Span] = field(default=(), repr=False)

    @property
    def seconds(self) -> float:
        """Duration of the video, in seconds."""
        return self.frames / FRAME_RATE

    @property
    def one_sided(self) -> bool:
        """Whether it differs between the sides of the face."""
        return any(_other_side(name) != name for name in self.curves)


TALKING = Expression(
    template=0,
    name="talking",
    title="Talking",
    description="Says a few friendly words, with a nod and a smile at the end.",
    frames=75,
    curves={
        # "Hello! So good to see you."
        "jawOpen": [
            (0.22, 0), (0.36, 0.38), (0.47, 0.12), (0.60, 0.32), (0.76, 0.02), (0.92, 0.02),
            (1.04, 0.34), (1.16, 0.08), (1.28, 0.30), (1.39, 0.07), (1.49, 0.18), (1.58, 0.04),
            (1.72, 0.28), (1.84, 0.07), (1.97, 0.26), (2.18, 0),
        ],
        "mouthPucker": [
            (0.44, 0), (0.62, 0.34), (0.80, 0), (0.90, 0.05), (1.04, 0.24), (1.20, 0.12),
            (1.42, 0.22), (1.52, 0.24), (1.66, 0), (1.82, 0.05), (1.99, 0.40), (2.22, 0),
        ],
        "mouthSmile": [
            (0.20, 0.08), (0.38, 0.30), (0.62, 0.05), (0.82, 0.22), (1.04, 0.05), (1.54, 0.08),
            (1.72, 0.34), (1.98, 0.06), (2.26, 0.55), (2.70, 0.55),
        ],
        "mouthLowerDown": [
            (0.26, 0), (0.37, 0.15), (0.55, 0), (1.60, 0), (1.72, 0.15), (1.9, 0),
        ],
        "mouthUpperUp": [(0.26, 0), (0.37, 0.1), (0.55, 0), (1.60, 0), (1.72, 0.1), (1.9, 0)],
        "cheekSquint": [(2.05, 0), (2.30, 0.35), (2.70, 0.35)],
        "browUp": [
            (0.18, 0.05), (0.42, 0.55), (0.85, 0.10), (1.60, 0.08), (1.78, 0.45), (2.3, 0.05),
        ],
        "headPitch": [
            (0.16, -0.6), (0.46, 2.8), (0.90, -1.6), (1.30, 0.8), (1.74, 3.2), (2.2, -1.0),
        ],
        "headYaw": [(0.40, 1.0), (0.95, 4.5), (1.75, -4.0), (2.45, -1.5)],
        "headRoll": [(0.50, -0.6), (1.05, 1.6), (1.80, -1.8), (2.45, -1.2)],
    },
)  # fmt: skip

LOOKING_AROUND = Expression(
    template=1,
    name="looking-around",
    title="Looking around, then a smile",
    description="Looks to one side and to the other, finds you, and smiles.",
    frames=171,
    curves={
        "gazeX": [
            (0.30, 0), (0.42, 0.55), (1.00, 0.42), (1.78, 0.40), (2.14, 0.36), (2.28, -0.58),
            (2.95, -0.44), (3.70, -0.42), (4.06, -0.36), (4.20, 0),
        ],
        "gazeY": [(0.30, 0), (0.42, -0.14), (1.40, -0.10), (2.28, 0.08), (3.60, 0.04), (4.20, 0)],
        "headYaw": [
            (0.34, 0), (1.10, 9.5), (1.75, 9.2), (2.12, 8.8), (3.30, -9.5), (3.75, -9.2),
            (4.06, -8.6), (4.95, 0.5), (5.70, 1.6), (6.40, 0.8),
        ],
        "headPitch": [
            (0.40, 0), (1.10, -2.4), (1.90, -1.6), (2.70, 1.6), (3.60, -1.2), (4.30, 0.6),
            (5.00, 2.6), (5.60, -0.6), (6.30, 0.4),
        ],
        "headRoll": [
            (0.40, 0), (1.20, -2.0), (2.00, -1.6), (3.20, 2.0), (3.90, 1.6), (5.20, -2.2),
            (6.10, -1.8),
        ],
        "browUp": [(0.30, 0), (0.62, 0.45), (1.60, 0.18), (2.30, 0.15), (2.70, 0.35), (3.70, 0.10),
                   (4.25, 0.10), (4.62, 0.55), (5.30, 0.22), (6.20, 0.15)],
        "mouthSmile": [(3.95, 0.04), (4.80, 0.88), (5.50, 0.86), (6.15, 0.84)],
        "cheekSquint": [(4.10, 0), (4.90, 0.65), (6.05, 0.60)],
        "eyeSquint": [(4.15, 0), (4.95, 0.45), (6.05, 0.40)],
    },
)  # fmt: skip

WINK = Expression(
    template=2,
    name="wink",
    title="A wink",
    description="A nod, a crooked smile, and a wink.",
    frames=51,
    curves={
        "eyeBlinkLeft": [(0.72, 0), (0.84, 1), (1.10, 1), (1.30, 0)],
        "eyeSquintLeft": [(0.62, 0), (0.84, 0.80), (1.12, 0.75), (1.40, 0.10)],
        "eyeSquintRight": [(0.66, 0), (0.84, 0.40), (1.10, 0.25), (1.40, 0.05)],
        "mouthSmileLeft": [(0.25, 0.05), (0.80, 1), (1.30, 0.92), (1.62, 0.5)],
        "mouthSmileRight": [(0.25, 0.05), (0.80, 0.30), (1.30, 0.42), (1.62, 0.4)],
        "cheekSquintLeft": [(0.55, 0), (0.84, 1), (1.14, 0.95), (1.45, 0.35)],
        "cheekSquintRight": [(0.55, 0), (0.84, 0.25), (1.30, 0.3), (1.55, 0.15)],
        "browUpRight": [(0.50, 0), (0.84, 0.75), (1.20, 0.55), (1.50, 0.1)],
        "browDownLeft": [(0.62, 0), (0.84, 0.60), (1.12, 0.40), (1.36, 0)],
        "headPitch": [(0.12, -0.8), (0.44, 4.2), (0.80, -1.2), (1.14, 2.4), (1.55, -0.4)],
        "headRoll": [(0.36, 0.4), (0.86, -3.4), (1.20, -3.2), (1.66, -0.6)],
        "headYaw": [(0.40, 0.8), (0.88, 3.6), (1.25, 3.0), (1.70, 0.4)],
        "headZoom": [(0.50, 0.004), (0.88, 0.022), (1.20, 0.018), (1.70, 0.002)],
    },
    eyes_busy=[(0, 2.2)],  # one of them winks
)  # fmt: skip

LAUGHTER = Expression(
    template=3,
    name="laughter",
    title="Surprise into laughter",
    description="Eyes wide, mouth open, and then a hearty laugh.",
    frames=162,
    curves={
        "browUp": [(0.12, 0), (0.46, 0.78), (1.40, 0.70), (2.00, 0.15), (3.20, 0.25), (4.60, 0.20)],
        "browInnerUp": [(0.12, 0), (0.46, 0.35), (1.40, 0.30), (2.00, 0.05), (4.60, 0.1)],
        "eyeBlink": [
            (0.16, 0), (0.44, -0.20), (1.40, -0.18), (1.70, 0), (2.50, 0.34), (4.10, 0.30),
            (4.80, 0.06), (5.20, 0),
        ],
        "jawOpen": [
            (0.18, 0), (0.52, 0.46), (1.45, 0.40), (1.92, 0.12), (2.16, 0.22), (2.42, 0.58),
            (2.58, 0.42), (2.74, 0.60), (2.90, 0.42), (3.06, 0.60), (3.22, 0.40), (3.40, 0.56),
            (3.58, 0.36), (3.78, 0.47), (3.98, 0.28), (4.20, 0.35), (4.44, 0.17), (4.70, 0.15),
            (5.30, 0.05), (5.80, 0),
        ],
        "mouthSmile": [(1.45, 0), (2.35, 0.85), (4.30, 0.88), (5.10, 0.70), (5.80, 0.42)],
        "mouthUpperUp": [(1.60, 0), (2.40, 0.50), (4.10, 0.45), (4.80, 0.12), (5.40, 0)],
        "mouthLowerDown": [(1.70, 0), (2.42, 0.25), (4.00, 0.20), (4.80, 0)],
        "cheekSquint": [(1.60, 0), (2.45, 0.91), (4.30, 0.90), (5.40, 0.40)],
        "eyeSquint": [(1.80, 0), (2.50, 0.95), (4.20, 0.90), (5.40, 0.25)],
        "noseSneer": [(1.80, 0), (2.50, 0.35), (4.20, 0.30), (5.20, 0)],
        "headPitch": [
            (0.14, 0.4), (0.58, -4.6), (1.45, -4.0), (2.10, 2.2), (2.42, -2.6), (2.60, -1.2),
            (2.76, -3.0), (2.92, -1.4), (3.08, -3.0), (3.26, -1.0), (3.44, -2.2), (3.70, 1.6),
            (3.92, 2.8), (4.16, 1.8), (4.40, 2.6), (4.90, 0.6), (5.60, 0.2),
        ],
        "headY": [
            (0.20, 0), (0.56, -0.020), (1.45, -0.016), (2.20, 0.006), (2.42, -0.014), (2.58, 0),
            (2.74, -0.014), (2.90, 0), (3.06, -0.014), (3.22, 0), (3.40, -0.010), (3.60, 0.004),
            (3.78, -0.006), (4.00, 0.006), (4.40, 0.004), (5.40, 0),
        ],
        "headYaw": [
            (0.50, -2.0), (1.45, -3.0), (2.60, 4.2), (3.40, 2.4), (4.10, -3.6), (5.20, -1.0),
        ],
        "headRoll": [
            (0.55, 0.6), (1.45, 0.4), (2.60, -2.6), (3.40, -2.0), (4.15, 2.4), (5.20, 0.8),
        ],
        "headZoom": [(0.18, 0), (0.56, -0.012), (1.45, -0.010), (2.30, 0.008), (4.40, 0.006)],
    },
    eyes_busy=[(0.10, 1.45), (2.20, 4.40)],  # wide open, and narrowed in laughter
)  # fmt: skip

HEAD_SHAKE = Expression(
    template=4,
    name="head-shake",
    title="A playful no",
    description="A mock-stern pout, a shake of the head, and a grin that gives it away.",
    frames=105,
    curves={
        "headYaw": [
            (0.18, -0.5), (0.58, 9.5), (1.06, -9.5), (1.54, 8.5), (2.00, -6.5), (2.42, 3.0),
            (2.80, 0.4), (3.60, 0.8),
        ],
        "headRoll": [
            (0.58, -1.8), (1.06, 1.8), (1.54, -1.6), (2.00, 1.2), (2.90, -2.6), (3.50, -2.4),
        ],
        "headPitch": [(0.30, 1.6), (1.10, 2.6), (2.10, 2.2), (2.70, -1.2), (3.40, 1.0)],
        "gazeX": [(0.20, 0), (0.58, -0.34), (1.06, 0.34), (1.54, -0.30), (2.00, 0.22), (2.40, 0)],
        "browDown": [(0.16, 0), (0.50, 0.90), (2.05, 0.85), (2.60, 0.05), (2.80, 0)],
        "mouthPucker": [(0.20, 0), (0.55, 0.50), (2.05, 0.46), (2.50, 0)],
        "mouthClose": [(0.20, 0), (0.55, 1), (2.05, 0.95), (2.50, 0)],
        "mouthFrown": [(0.20, 0), (0.55, 0.55), (2.05, 0.50), (2.50, 0)],
        "browUp": [(2.30, 0), (2.75, 0.60), (3.30, 0.25), (3.70, 0.1)],
        "mouthSmile": [(2.20, 0), (2.85, 0.91), (3.45, 0.84)],
        "mouthUpperUp": [(2.30, 0), (2.90, 0.62), (3.40, 0.50), (3.90, 0)],
        "mouthLowerDown": [(2.30, 0), (2.90, 0.40), (3.40, 0.30), (3.90, 0)],
        "jawOpen": [(2.30, 0), (2.90, 0.13), (3.40, 0.10), (3.90, 0)],
        "cheekSquint": [(2.30, 0), (2.90, 0.75), (3.45, 0.60)],
        "eyeSquint": [
            (0.25, 0), (0.60, 0.25), (2.00, 0.25), (2.40, 0.1), (2.95, 0.40), (3.45, 0.3),
        ],
    },
)  # fmt: skip

KISS = Expression(
    template=5,
    name="kiss",
    title="A tender look and a kiss",
    description="A warm look with the head a little tilted, closed eyes and a kiss for you.",
    frames=90,
    curves={
        "headRoll": [(0.20, 0.2), (0.85, 3.4), (1.40, 3.0), (1.85, 1.4), (2.40, 1.0), (3.00, 1.8)],
        "headPitch": [
            (0.30, 0.6), (0.90, 2.0), (1.50, 1.4), (1.95, -1.6), (2.30, -1.8), (2.75, 1.6),
        ],
        "headYaw": [(0.30, -0.4), (0.95, -3.0), (1.70, -1.6), (2.30, 0.6), (2.90, -0.8)],
        "headZoom": [(1.45, 0), (1.98, 0.040), (2.30, 0.036), (2.80, 0.006)],
        "browInnerUp": [
            (0.22, 0), (0.80, 0.70), (1.40, 0.55), (1.80, 0.15), (2.40, 0.15), (3.00, 0.1),
        ],
        "mouthSmile": [
            (0.25, 0.04), (0.80, 0.52), (1.25, 0.48), (1.62, 0.02), (2.34, 0), (2.76, 0.62),
            (3.22, 0.58),
        ],
        "cheekSquint": [
            (0.40, 0), (0.90, 0.30), (1.50, 0.20), (2.30, 0.05), (2.80, 0.45), (3.16, 0.3),
        ],
        "eyeSquint": [(0.30, 0), (0.90, 0.22), (1.45, 0.2), (1.75, 0), (2.3, 0), (2.9, 0.3)],
        "eyeBlink": [(1.60, 0), (1.82, 1), (2.26, 1), (2.54, 0)],
        "mouthPucker": [(1.46, 0), (1.84, 0.92), (2.16, 0.98), (2.28, 0.80), (2.46, 0)],
        "mouthClose": [(1.16, 0), (1.54, 1), (2.18, 1), (2.28, 0.9), (2.56, 0)],
        "jawOpen": [(2.14, 0), (2.28, 0.06), (2.48, 0)],
    },
    eyes_busy=[(0, 3.75)],  # closed for the kiss
)  # fmt: skip

EXPRESSIONS = (TALKING, LOOKING_AROUND, WINK, LAUGHTER, HEAD_SHAKE, KISS)
"""All expressions, by template number."""


MAX_LAG = 0.3
"""Largest lag of an expression in seconds, of people who are animated together. In the shortest
one, time then runs at 0.55 to 1.45 of its pace."""

_TURNED = 9.0
"""Yaw in degrees from which the far side of a face is hardly visible."""

_ACROSS = ("headYaw", "headRoll", "headX", "gazeX")
"""Coefficients that change their sign in a mirror."""


def expression(template: int) -> Expression:
    """Return the expression of a template.

    Raises:
        ValueError: The template does not exist.
    """
    if template not in range(len(EXPRESSIONS)):
        raise ValueError(f"template {template} does not exist; use 0 to {len(EXPRESSIONS) - 1}")
    return EXPRESSIONS[template]


def motion(template: int, seed: int, lag: float = 0.0, yaw: float = 0.0) -> list[FaceMotion]:
    """Return the motion of a template, with idle motion.

    Args:
        template: 0 to 5.
        seed: The seed of the idle motion, derived from the photo; not negative.
        lag: How far the middle of the expression lags behind, in seconds; at most `MAX_LAG`, and
            at least -`MAX_LAG`. The first and the last frame are those without a lag.
        yaw: How far the face in the photo is turned to the picture's right, in degrees.

    Returns:
        Coefficients of each frame. Those of the first and the last frame are 0.

    Raises:
        ValueError: The template does not exist.
    """
    chosen = expression(template)
    times = frame_times(chosen.frames)
    rng = np.random.default_rng([template, seed])
    last = float(times[-1])
    shown = times - lag * np.sin(np.pi * times / last)
    curves = {
        name: monotone([(0.0, 0.0), *knots, (last, 0.0)], shown)
        for name, knots in chosen.curves.items()
    }
    if chosen.one_sided and yaw < -_TURNED:
        curves = _mirrored(curves)
    busy = np.array(chosen.eyes_busy).reshape(-1, 2)
    busy += lag * np.sin(np.pi * busy / last)
    return with_idle_motion(curves, times, rng, busy)


def _mirrored(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Exchange the sides of the face."""
    return {
        _other_side(name): -curve if name in _ACROSS else curve for name, curve in curves.items()
    }


def _other_side(name: str) -> str:
    """Return the same coefficient of the other side; `name` itself if it has no side."""
    if name.endswith("Left"):
        return name.removesuffix("Left") + "Right"
    if name.endswith("Right"):
        return name.removesuffix("Right") + "Left"
    return name

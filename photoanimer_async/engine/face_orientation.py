"""Which way up a face is.

Theory of operation. The detector's key points give an angle, but not always the right one, and the
attention mesh fits a face into almost any square: upside down, with the eyes on the mouth, it may
be sure of it. What it cannot do the wrong way round is agree with itself. Measured again in the
square that follows from its own landmarks, a face the right way up stays where it was, within about
1 % of the eye distance; the wrong way up, the landmarks move by 3 to 30 %. With the log-odds of a
face, which are lower the wrong way up, this gives the *plausibility* of a reading.

Where the first readings leave no doubt, no more are taken. Otherwise the square is read in eight
directions, the most likely readings are refined, and the most plausible one is used if no other
comes near it. A face whose way up stays doubtful is refused.
"""

import math

from attrs import evolve, frozen

from photoanimer_async.engine.attention_mesh import AttentionMesh, FaceSquare, MeshReading
from photoanimer_async.engine.picture import Picture

SURE_LOG_ODDS = 20.0
SURE_MOVEMENT = 0.05
"""Log-odds and movement of a reading that needs no comparison: the wrong way up, faces in whole
pictures reach log-odds of 18.5; three of four upright faces have more than 20."""

MIN_LOG_ODDS = 9.0
MIN_PLAUSIBILITY = 7.0
"""Required of a face whose way up had to be looked for."""

MIN_PLAUSIBILITY_LEAD = 0.7
MIN_LOG_ODDS_LEAD = 1.5
"""Lead of the best way up over any other: with less, the way up is doubtful."""

_DIRECTIONS = 8
_REFINED = 3
_REFINEMENTS = 2

_LOG_ODDS_WEIGHT = 1 / 4
_LEAST_MOVEMENT = 1e-3
_SAME_WAY_UP = math.radians(30)


@frozen(eq=False)
class UprightReading:
    """The landmarks of a face, the right way up as far as can be told.

    Attributes:
        reading: The landmarks.
        movement: How far they moved since the reading before, relative to the eye distance.
        turned: Whether the detector found the face another way up.
    """

    reading: MeshReading
    movement: float
    turned: bool = False

    @property
    def plausibility(self) -> float:
        """How plausible this way up is, without a unit; 8 and more for most faces."""
        steadiness = -math.log(max(self.movement, _LEAST_MOVEMENT))
        return steadiness + _LOG_ODDS_WEIGHT * self.reading.log_odds

    def same_way_up(self, other: MeshReading) -> bool:
        """Return whether two readings have about the same roll."""
        return abs(math.remainder(self.reading.roll - other.roll, 2 * math.pi)) < _SAME_WAY_UP

    def is_clearly_better_than(self, rival: "UprightReading") -> bool:
        """Return whether this is clearly more plausible than a reading of the same face."""
        return self.same_way_up(rival.reading) or (
            self.plausibility - rival.plausibility >= MIN_PLAUSIBILITY_LEAD
            and self.reading.log_odds - rival.reading.log_odds >= MIN_LOG_ODDS_LEAD
        )


def measure_upright(
    mesh: AttentionMesh, picture: Picture, square: FaceSquare
) -> UprightReading | None:
    """Return the landmarks of a face, or None if there is none or its way up is doubtful.

    Args:
        mesh: The network.
        picture: RGB, shape (H, W, 3).
        square: Where the detector found the face.
    """
    first = mesh.measure(picture, square)
    found = None if first is None else _refined(mesh, picture, first, 1)
    if found is None:
        return None
    if found.reading.log_odds >= SURE_LOG_ODDS and found.movement <= SURE_MOVEMENT:
        return found
    return _most_plausible(mesh, picture, found.reading)


def _most_plausible(
    mesh: AttentionMesh, picture: Picture, doubtful: MeshReading
) -> UprightReading | None:
    square = FaceSquare.around_reading(doubtful)
    angles = [2 * math.pi * step / _DIRECTIONS for step in range(_DIRECTIONS)]
    readings = [mesh.measure(picture, square.turned(angle)) for angle in angles]
    likely = sorted(filter(None, readings), key=lambda reading: -reading.log_odds)[:_REFINED]
    refined = [_refined(mesh, picture, reading, _REFINEMENTS) for reading in likely]
    candidates = sorted(filter(None, refined), key=lambda candidate: -candidate.plausibility)
    if not candidates:
        return None
    best = candidates[0]
    if (
        best.reading.log_odds < MIN_LOG_ODDS
        or best.plausibility < MIN_PLAUSIBILITY
        or not all(best.is_clearly_better_than(rival) for rival in candidates)
    ):
        return None
    return evolve(best, turned=not best.same_way_up(doubtful))


def _refined(
    mesh: AttentionMesh, picture: Picture, reading: MeshReading, times: int
) -> UprightReading | None:
    """Measure again, each time in the square of the last reading."""
    movement = math.inf
    for _ in range(times):
        again = mesh.measure(picture, FaceSquare.around_reading(reading))
        if again is None:
            return None
        reading, movement = again, again.distance(reading)
    return UprightReading(reading, movement)

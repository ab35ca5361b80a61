"""Face detection: boxes and six key points.

Theory of operation. BlazeFace is a small network with a square picture as input. For each of a
fixed set of *anchors* (points of a regular grid), it returns a score for a face at this point,
and the face's box and key points relative to the anchor. Two variants are used:

* **full range**, 192 px, one anchor for each cell of a 48 x 48 grid: faces of about 5 % to 60 % of
  the picture;
* **short range**, 128 px, 896 anchors on two grids: faces that fill the picture.

A picture is scaled to the network's square and centred in it (*letterbox*). Several anchors fire
for one face; overlapping detections are averaged, weighted by their scores. The networks detect
upright faces only, so if there is none, the picture is also searched rotated by 90, 180 and 270
degrees. If the full range finds nothing, the short range is tried, then the full range on
overlapping *tiles* of the picture, in which a small face is larger. Rotated pictures and tiles
require a higher score, since each additional search is one more chance of a false positive.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import onnxruntime
from attrs import field, frozen

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.networks import FACES, LARGE_FACES, load_network
from photoanimer_async.engine.picture import Picture, fit

SEARCHED_SIDE = 1280
"""Longest side of the picture in which faces are searched for. The networks see all of it, or a
third of it, in 192 pixels: more pixels would cost time and show nothing more."""

MIN_SCORE = 0.62
"""Minimum score of a face in the whole picture. At 0.5, a cat and a colour wheel are accepted."""

MIN_TILE_SCORE = 0.70
"""Minimum score of a face in a tile."""

MIN_ROTATED_SCORE = 0.70
"""Minimum score of a face in a rotated picture."""

TILE_SIZES = (0.6, 0.36)
"""Sides of the tiles relative to the picture's longest side, tried in this order."""

_MAX_ROLL = np.radians(50)
"""Largest roll of a detection that is used: beyond it, a rotated picture gives a better one."""

_MIN_TILE = 96
_TILE_STEP = 0.6
_SAME_FACE_OVERLAP = 0.3

_KEY_POINTS = 6
_EYE_LEFT, _EYE_RIGHT = 0, 1


@frozen(eq=False)
class Detection:
    """A detected face, in pixels of the picture.

    Attributes:
        score: Confidence, 0 to 1.
        centre: Centre of the box, shape (2,).
        size: Width and height of the box, shape (2,).
        key_points: Shape (6, 2): eye on the left, eye on the right, nose tip, mouth, and the two
            ears (left and right as in an upright picture).
    """

    score: float
    centre: Array
    size: Array
    key_points: Array

    @property
    def roll(self) -> float:
        """Angle of the line through the eyes, in radians, clockwise."""
        across = self.key_points[_EYE_RIGHT] - self.key_points[_EYE_LEFT]
        return float(np.arctan2(across[1], across[0]))

    def moved(self, x: float, y: float) -> "Detection":
        """Return the detection in a picture of which this one is the part at (x, y)."""
        offset = np.array([x, y])
        return Detection(self.score, self.centre + offset, self.size, self.key_points + offset)

    def scaled(self, across: float, down: float) -> "Detection":
        """Return the detection in a picture that is larger by these factors."""
        if across == down == 1:
            return self
        factors = np.array([across, down])
        return Detection(
            self.score,
            centre=(self.centre + 0.5) * factors - 0.5,  # pixel centres are at integers
            size=self.size * factors,
            key_points=(self.key_points + 0.5) * factors - 0.5,
        )

    def rotated_back(self, quarters: int, picture: Picture) -> "Detection":
        """Return the detection in `picture`, if found in `numpy.rot90(picture, quarters)`."""
        height, width = picture.shape[:2]
        linear, offset = _ROTATION_BACK[quarters]
        shift = np.array(offset) * [width - 1, height - 1]
        rotation = np.array(linear)
        return Detection(
            self.score,
            centre=rotation @ self.centre + shift,
            size=np.abs(rotation) @ self.size,
            key_points=self.key_points @ rotation.T + shift,
        )


_ROTATION_BACK = (
    (((1, 0), (0, 1)), (0, 0)),
    (((0, -1), (1, 0)), (1, 0)),
    (((-1, 0), (0, -1)), (1, 1)),
    (((0, 1), (-1, 0)), (0, 1)),
)
"""Maps from a picture rotated by quarters back to it: linear part, offset in units of size - 1."""


def _grid_anchors(cells: int, each: int) -> Array:
    """Return the centres of a grid's cells, row by row, each repeated, relative to the square."""
    y, x = np.divmod(np.arange(cells * cells), cells)
    return np.repeat((np.stack([x, y], axis=1) + 0.5) / cells, each, axis=0)


@frozen(eq=False)
class BlazeFace:
    """One variant of the network.

    Attributes:
        session: The model. Input: a square picture; output: regressions and scores of the anchors.
        side: Side of the input square, in pixels.
        anchors: Centres of the anchors relative to the square, shape (n, 2).
    """

    session: onnxruntime.InferenceSession
    side: int
    anchors: Array = field(repr=False)

    @classmethod
    def full_range(cls) -> "BlazeFace":
        """Return the variant for all but the largest faces."""
        return cls(load_network(FACES), 192, _grid_anchors(48, 1))

    @classmethod
    def short_range(cls) -> "BlazeFace":
        """Return the variant for faces that fill the picture."""
        anchors = np.concatenate([_grid_anchors(16, 2), _grid_anchors(8, 6)])
        return cls(load_network(LARGE_FACES), 128, anchors)

    def detect(self, picture: Picture, min_score: float) -> list[Detection]:
        """Return all detections with at least this score, without merging them."""
        square, scale, offset = self._letterbox(picture)
        outputs = self.session.run(None, {self.session.get_inputs()[0].name: square[None]})
        regressions, logits = sorted((output[0] for output in outputs), key=lambda o: -o.shape[-1])
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 0].astype(np.float64), -60, 60)))
        fired = np.flatnonzero(scores >= min_score)
        points = regressions[fired].astype(np.float64).reshape(-1, 2 + _KEY_POINTS, 2)
        from_anchor = np.ones((2 + _KEY_POINTS, 1))
        from_anchor[1] = 0  # the size is not a position
        points += from_anchor * self.anchors[fired, None] * self.side
        points = (points - from_anchor * offset) / scale
        return [
            Detection(float(score), centre=p[0], size=p[1], key_points=p[2:])
            for score, p in zip(scores[fired], points, strict=True)
        ]

    def _letterbox(self, picture: Picture) -> tuple[Floats, float, Array]:
        """Return the picture in the square, its scale, and its offset in pixels of the square."""
        height, width = picture.shape[:2]
        scale = self.side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(picture, size, interpolation=interpolation)
        x, y = (self.side - size[0]) // 2, (self.side - size[1]) // 2
        square = np.zeros((self.side, self.side, 3), np.float32)
        square[y : y + size[1], x : x + size[0]] = small / np.float32(127.5) - 1
        return square, scale, np.array([x, y], np.float64)


class FaceDetector:
    """A search for faces with both variants, rotations and tiles."""

    def __init__(self) -> None:
        """Load both variants."""
        self._full_range, self._short_range = BlazeFace.full_range(), BlazeFace.short_range()

    def searches(self, picture: Picture) -> Iterator[list[Detection]]:
        """Yield the detections of each search, from the cheapest search to the most expensive.

        One search may return a face more than once, from different rotations or tiles. A large
        picture is shrunk first, once for all searches.
        """
        small = fit(picture, SEARCHED_SIDE)
        across, down = picture.shape[1] / small.shape[1], picture.shape[0] / small.shape[0]
        for found in self._searches(small):
            yield [detection.scaled(across, down) for detection in found]

    def _searches(self, picture: Picture) -> Iterator[list[Detection]]:
        yield _detect_upright(self._full_range, picture, MIN_SCORE)
        yield _detect_rotated(self._full_range, picture, MIN_SCORE)
        yield _detect_rotated(self._short_range, picture, MIN_SCORE)
        for part in TILE_SIZES:
            side = round(max(picture.shape) * part)
            if side >= _MIN_TILE:
                yield [
                    detection.moved(x, y)
                    for x, y, tile in tiles(picture, side)
                    for detection in _detect_rotated(self._full_range, tile, MIN_TILE_SCORE)
                ]


def _detect_rotated(detector: BlazeFace, picture: Picture, min_score: float) -> list[Detection]:
    """Return the faces in the picture in all four rotations, in coordinates of the picture."""
    return [
        detection.rotated_back(quarters, picture)
        for quarters in range(4)
        for detection in _detect_upright(
            detector,
            np.rot90(picture, quarters),
            min_score if quarters == 0 else max(min_score, MIN_ROTATED_SCORE),
        )
    ]


def _detect_upright(detector: BlazeFace, picture: Picture, min_score: float) -> list[Detection]:
    """Return the upright faces in the picture, each once."""
    found = merge(detector.detect(picture, min_score))
    return [detection for detection in found if abs(detection.roll) < _MAX_ROLL]


def tiles(picture: Picture, side: int) -> Iterator[tuple[int, int, Picture]]:
    """Yield overlapping squares that cover the picture: x, y of the upper left corner, pixels."""
    starts = []
    for length in picture.shape[:2]:
        count = max(1, int(np.ceil(length / (side * _TILE_STEP))))
        starts.append(np.unique(np.linspace(0, max(0, length - side), count).round().astype(int)))
    for y in starts[0].tolist():
        for x in starts[1].tolist():
            yield x, y, picture[y : y + side, x : x + side]


def merge(detections: list[Detection]) -> list[Detection]:
    """Average overlapping detections, weighted by score, so that each face has one detection."""
    rest = sorted(detections, key=lambda detection: -detection.score)
    merged = []
    while rest:
        overlaps = [_overlap(rest[0], other) > _SAME_FACE_OVERLAP for other in rest]
        same = [d for d, overlapping in zip(rest, overlaps, strict=True) if overlapping]
        rest = [d for d, overlapping in zip(rest, overlaps, strict=True) if not overlapping]
        weights = np.array([d.score for d in same])
        merged.append(
            Detection(
                same[0].score,
                centre=np.average([d.centre for d in same], axis=0, weights=weights),
                size=np.average([d.size for d in same], axis=0, weights=weights),
                key_points=np.average([d.key_points for d in same], axis=0, weights=weights),
            )
        )
    return merged


def _overlap(one: Detection, other: Detection) -> float:
    """Return the intersection over union, or 0.9 of that over the smaller box, if larger."""
    upper_left = np.maximum(one.centre - one.size / 2, other.centre - other.size / 2)
    lower_right = np.minimum(one.centre + one.size / 2, other.centre + other.size / 2)
    shared = float(np.prod(np.clip(lower_right - upper_left, 0, None)))
    areas = float(np.prod(one.size)), float(np.prod(other.size))
    return max(shared / (sum(areas) - shared + 1e-9), 0.9 * shared / (min(areas) + 1e-9))

"""The outline of the head: an ellipse around face and hair, and the actual edge of the hair.

The ellipse is derived from the landmarks. Hair, hats and bald heads differ from it, so the edge is
searched for along rays from the face's centre, where the photo shows background: colours near the
face are samples of the head, colours far out on neighbouring rays samples of the background, and
the edge is where it separates the two best. Ambiguous rays keep the ellipse's edge, and the edges
are smoothed along the outline.
"""

import math
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, resample, smoothstep

_RAYS = 72
_RADII = np.linspace(0.6, 2.2, 33)
_HEAD_END, _BACKGROUND_START = 0.92, 1.75
"""Radii, relative to the ellipse, of the samples of head and background."""

_NEAR, _FAR = _RADII < _HEAD_END, _RADII > _BACKGROUND_START

_LOWEST = 0.35
"""Sine of the lowest rays that are used; neck and shoulders are below."""

_WINDOW = 7
"""Number of rays on either side whose colours are used for one ray."""

_EXPECTED, _SPREAD = 1.05, 0.16
"""Mean and standard deviation of the expected edge, in radii of the ellipse."""

_MAX_EDGE = 1.25
_ANALYSIS_SIZE = 256
"""Approximate size in pixels to which heads are shrunk for this analysis."""

_COLOUR_SCALE = np.array([0.7, 1.6, 1.6], np.float32)
"""Weights of lightness and the two colour axes in a colour difference."""


_WHOLE_FACE = 0.65
"""Distance of a border from the centre of the face, in heights of the face, from which it does not
cut off the face."""

HALF_MOTION = 0.3
"""How much a face moves of which a half is cut off, relative to a whole one: it would be squeezed
or stretched at the border, where nothing moves."""


@frozen(eq=False)
class HeadEllipse:
    """An ellipse around head and hair, aligned with the face; lengths in pixels.

    Attributes:
        centre: The middle between forehead and chin, shape (2,), from which points are measured.
        right: Direction of the face's right in the picture, shape (2,).
        face_height: Distance from the forehead to the chin.
        wide: Half width.
        high: Half height.
        above: How far below `centre` the ellipse's centre is, in `high`: negative, since it is
            above.
    """

    centre: Array
    right: Array
    face_height: float
    wide: float
    high: float
    above: float

    @classmethod
    def of(cls, landmarks: Array, coordinates: FaceCoordinates) -> Self:
        """Return the ellipse of a face with these landmarks, shape (478, 3)."""
        right = np.array([math.cos(coordinates.roll), math.sin(coordinates.roll)])
        down = np.array([-right[1], right[0]])
        top, chin = landmarks[lm.FOREHEAD, :2], landmarks[lm.CHIN, :2]
        height = abs((chin - top) @ down)
        ears = landmarks[lm.SIDE_RIGHT, :2] - landmarks[lm.SIDE_LEFT, :2]
        width = max(abs(ears @ right), 0.525 * height)
        high = 0.72 * height
        return cls((top + chin) / 2, right, height, 0.62 * width, high, -0.10 * height / high)

    @property
    def down(self) -> Array:
        """Direction of the chin in the picture, shape (2,)."""
        return np.array([-self.right[1], self.right[0]])

    def axes_of(self, points: NDArray[np.floating]) -> tuple[Array, Array]:
        """Return coordinates along the face's axes from its centre, in pixels."""
        offset = points - self.centre
        return offset @ self.right, offset @ self.down

    def radius(self, points: NDArray[np.floating]) -> Array:
        """Return the radius of points: 1 on the outline, 0 in the centre."""
        across, down = self.axes_of(points)
        return np.asarray(np.hypot(across / self.wide, down / self.high - self.above))

    def outline(self, radius: float, count: int) -> Array:
        """Return points on a multiple of the outline, shape (count, 2), in pixels."""
        angle = np.linspace(-np.pi, np.pi, count, endpoint=False)
        across = self.wide * radius * np.cos(angle)
        down = self.high * (radius * np.sin(angle) + self.above)
        return np.asarray(self.centre + across[:, None] * self.right + down[:, None] * self.down)

    def cut_off(self, picture: Box) -> tuple[float, float, float, float]:
        """Return how much of each half of the face a picture's borders cut off, 0 to 1.

        Returns:
            At the left, the top, the right and the bottom.
        """
        (x, y), whole = self.centre.tolist(), _WHOLE_FACE * self.face_height
        distances = x - picture.left, y - picture.top, picture.right - x, picture.bottom - y
        left, top, right, bottom = (1 - smoothstep(np.array(distances) / whole)).tolist()
        return left, top, right, bottom

    def rays(self) -> tuple[Array, Array]:
        """Return the angles (n,) of rays and points (n, radii, 2) on them."""
        angle = np.linspace(-np.pi, np.pi, _RAYS, endpoint=False)
        points = np.stack([self.outline(float(r), _RAYS) for r in _RADII], axis=1)
        return angle, points

    def angle(self, points: NDArray[np.floating]) -> Array:
        """Return the angle of each point's ray, in radians, clockwise from the face's right."""
        across, down = self.axes_of(points)
        return np.asarray(np.arctan2(down / self.high - self.above, across / self.wide))


def head_edge(picture: Picture, ellipse: HeadEllipse, points: NDArray[np.floating]) -> Array:
    """Return the radius of the head's edge, relative to the ellipse, towards points (M, N, 2)."""
    angle, places = ellipse.rays()
    height, width = picture.shape[:2]
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    colours = _colours(picture, ellipse, places)
    upwards = np.sin(angle) < _LOWEST
    edges = np.ones(_RAYS)
    for ray in np.flatnonzero(upwards):
        around = np.arange(ray - _WINDOW, ray + _WINDOW + 1) % _RAYS
        around = around[upwards[around]]
        head = colours[around][:, _NEAR].reshape(-1, 3)
        beyond = colours[around][:, _FAR][inside[around][:, _FAR]]
        if len(beyond) * 3 >= len(around) * _FAR.sum():
            edges[ray] = _edge_on(colours[ray], head, beyond)
    edges = _smoothed(np.clip(edges, 1.0, _MAX_EDGE))
    turn = np.append(angle, np.pi)
    return np.asarray(np.interp(ellipse.angle(points), turn, np.append(edges, edges[0])))


def _colours(picture: Picture, ellipse: HeadEllipse, places: Array) -> Floats:
    """Return colours at places, shape (..., 3), with perceptually scaled distances."""
    box = Box.around(places) & Box.of(picture)
    part = np.asarray(picture[box.slices])
    shrink = min(1.0, _ANALYSIS_SIZE / (4 * ellipse.high))
    if shrink < 1:
        small = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        part = np.asarray(small, np.uint8)
    lab = cv2.cvtColor(cv2.GaussianBlur(part, (0, 0), 1.0), cv2.COLOR_RGB2LAB)
    offset = np.array([box.left, box.top]) - 0.5
    return (
        resample(lab.astype(np.float32), ((places - offset) * shrink - 0.5).astype(np.float32))
        * _COLOUR_SCALE
    )


def _edge_on(ray: Floats, head: Floats, beyond: Floats) -> float:
    """Return the radius that best separates a ray, (radii, 3), into head and background."""
    to_head, to_beyond = _distance(ray, head), _distance(ray, beyond)
    headlike = (to_beyond - to_head) / (to_beyond + to_head + 8)
    separation = 2 * np.cumsum(headlike) - headlike.sum()
    expected = -0.5 * ((_RADII - _EXPECTED) / _SPREAD) ** 2
    return float(_RADII[np.argmax(separation + expected)])


def _distance(ray: Floats, samples: Floats) -> Array:
    """Return the distance of each colour of a ray to the nearest samples."""
    few = samples[:: max(1, len(samples) // 60)]
    squared = ((ray[:, None] - few) ** 2).sum(axis=-1)
    nearest = np.partition(squared, min(3, len(few) - 1), axis=1)[:, :3]
    return np.asarray(np.sqrt(nearest.mean(axis=1)), np.float64)


def _smoothed(edges: Array) -> Array:
    """Apply a median and a mean filter along the outline."""
    shifts = [np.roll(edges, by) for by in range(-3, 4)]
    median = np.median(shifts, axis=0)
    return np.asarray(np.mean([np.roll(median, by) for by in range(-3, 4)], axis=0))

"""Where the head ends: an ellipse around face and hair, and how far the hair really reaches.

The ellipse follows from the landmarks alone. Hair, hats and bald heads differ from it; so, where
the photo shows background beyond, the edge is looked for along rays from the middle of the face:
colours near the face are taken for the head's, colours far out on the rays around for the
background's, and the edge is set where it parts the two best. A ray that is undecided keeps to
the ellipse, and neighbours are smoothed.
"""

import math
from typing import Self, TypeAlias

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, resample

Array: TypeAlias = NDArray[np.float64]

_RAYS = 72
_RADII = np.linspace(0.6, 2.2, 33)
_HEAD_END, _BACKGROUND_START = 0.92, 1.75
"""What is surely head, and what background, in radii of the ellipse."""

_NEAR, _FAR = _RADII < _HEAD_END, _RADII > _BACKGROUND_START

_LOWEST = 0.35
"""Sine of the lowest rays, downwards; below are neck and shoulders."""

_WINDOW = 7
"""How many rays on either side lend their colours to one."""

_USUAL, _SPREAD = 1.05, 0.16
"""Where the edge is expected, and how far from there it may well be."""

_WIDEST = 1.25
_SIZE = 256
"""Height in pixels, about, in which heads are looked at."""

_COLOUR_SCALE = np.array([0.7, 1.6, 1.6], np.float32)
"""Weights of lightness and the two axes of colour in a difference."""


@frozen(eq=False)
class HeadEllipse:
    """The outline of head and hair, its axes along those of the face."""

    centre: Array
    right: Array
    face_height: float
    wide: float
    high: float
    above: float  # y of the ellipse's centre, in `high`

    @classmethod
    def of(cls, landmarks: Array, frame: FaceFrame) -> Self:
        """The ellipse of a face with the given landmarks, shape (478, 3)."""
        right = np.array([math.cos(frame.roll), math.sin(frame.roll)])
        down = np.array([-right[1], right[0]])
        top, chin = landmarks[lm.FOREHEAD, :2], landmarks[lm.CHIN, :2]
        height = abs((chin - top) @ down)
        ears = landmarks[lm.SIDE_RIGHT, :2] - landmarks[lm.SIDE_LEFT, :2]
        width = max(abs(ears @ right), 0.525 * height)
        high = 0.72 * height
        return cls((top + chin) / 2, right, height, 0.62 * width, high, -0.10 * height / high)

    def axes_of(self, points: NDArray[np.floating]) -> tuple[Array, Array]:
        """Coordinates along the face's axes from its middle, in pixels."""
        offset = points - self.centre
        down = np.array([-self.right[1], self.right[0]])
        return offset @ self.right, offset @ down

    def radius(self, points: NDArray[np.floating]) -> Array:
        """1 on the outline, 0 in the middle."""
        across, down = self.axes_of(points)
        return np.asarray(np.hypot(across / self.wide, down / self.high - self.above))

    def outline(self, radius: float, count: int) -> Array:
        """Points on a multiple of the outline, shape (count, 2), in pixels, from the left on."""
        angle = np.linspace(-np.pi, np.pi, count, endpoint=False)
        across = self.wide * radius * np.cos(angle)
        down = self.high * (radius * np.sin(angle) + self.above)
        return np.asarray(
            self.centre
            + across[:, None] * self.right
            + down[:, None] * np.array([-self.right[1], self.right[0]])
        )

    def rays(self) -> tuple[Array, Array]:
        """Angles (n,) of rays and points (n, radii, 2) on them."""
        angle = np.linspace(-np.pi, np.pi, _RAYS, endpoint=False)
        points = np.stack([self.outline(float(r), _RAYS) for r in _RADII], axis=1)
        return angle, points

    def angle(self, points: NDArray[np.floating]) -> Array:
        """Of the ray on which each point lies, in radians, clockwise from the face's right."""
        across, down = self.axes_of(points)
        return np.asarray(np.arctan2(down / self.high - self.above, across / self.wide))


def head_edge(picture: Picture, ellipse: HeadEllipse, points: NDArray[np.floating]) -> Array:
    """Radius of the head's edge, in the ellipse's, towards each point, shape (M, N, 2)."""
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
    edges = _smoothed(np.clip(edges, 1.0, _WIDEST))
    turn = np.append(angle, np.pi)
    return np.asarray(np.interp(ellipse.angle(points), turn, np.append(edges, edges[0])))


def _colours(picture: Picture, ellipse: HeadEllipse, places: Array) -> NDArray[np.float32]:
    """Colours at places, shape (..., 3), such that their distances are those that are seen."""
    box = Box.around(places) & Box.of(picture)
    part = np.asarray(picture[box.slices])
    shrink = min(1.0, _SIZE / (4 * ellipse.high))
    if shrink < 1:
        small = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        part = np.asarray(small, np.uint8)
    lab = cv2.cvtColor(cv2.GaussianBlur(part, (0, 0), 1.0), cv2.COLOR_RGB2LAB)
    offset = np.array([box.left, box.top]) - 0.5
    return (
        resample(lab.astype(np.float32), ((places - offset) * shrink - 0.5).astype(np.float32))
        * _COLOUR_SCALE
    )


def _edge_on(
    ray: NDArray[np.float32], head: NDArray[np.float32], beyond: NDArray[np.float32]
) -> float:
    """The radius that best parts a ray, (radii, 3), in colours of the head and of the rest."""
    to_head, to_beyond = _distance(ray, head), _distance(ray, beyond)
    headlike = (to_beyond - to_head) / (to_beyond + to_head + 8)
    parted = 2 * np.cumsum(headlike) - headlike.sum()
    expected = -0.5 * ((_RADII - _USUAL) / _SPREAD) ** 2
    return float(_RADII[np.argmax(parted + expected)])


def _distance(ray: NDArray[np.float32], samples: NDArray[np.float32]) -> Array:
    """From each colour of a ray to the few nearest of some samples."""
    few = samples[:: max(1, len(samples) // 60)]
    squared = ((ray[:, None] - few) ** 2).sum(axis=-1)
    nearest = np.partition(squared, min(3, len(few) - 1), axis=1)[:, :3]
    return np.asarray(np.sqrt(nearest.mean(axis=1)), np.float64)


def _smoothed(edges: Array) -> Array:
    """The median, then the mean, of each ray's neighbourhood."""
    shifts = [np.roll(edges, by) for by in range(-3, 4)]
    median = np.median(shifts, axis=0)
    return np.asarray(np.mean([np.roll(median, by) for by in range(-3, 4)], axis=0))

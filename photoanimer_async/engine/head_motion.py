"""Head motion: rotation in space, translation and zoom of a head in one photo.

Theory of operation
-------------------
Every pixel of the head is given a depth: on the face that of the mesh, falling smoothly to the
plane of the ears at the outline of the hair. With this depth the head is rotated in space (yaw
about the spine, pitch about the top of the neck, roll about its base) and projected to the same
camera. Since the axis of yaw is behind the ears, hair moves with the face, but less than the nose.

A pixel's *weight* is how much it belongs to the head. The displacement is that of the head times
the weight, plus that of the torso that carries it.

* In front of a background, only the person is displaced. The weight is 1 on head and hair, and
  falls across the neck.
* In a single layer, the weight is 1 within an ellipse around head and hair and
  falls across neck and background. The background next to the hair follows a little, and nothing
  tears or uncovers what the photo does not show. There is no torso, and the head moves less.

At the borders of the picture, nothing moves away from them, so that no gap appears there. A face
that a border cuts off moves less: otherwise it would be squeezed there, or stretched.
"""

import math
from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.blendshapes import BODY, HEAD, FaceMotion
from photoanimer_async.engine.face_coordinates import FaceCoordinates
from photoanimer_async.engine.head_outline import HALF_MOTION, HeadEllipse, head_edge
from photoanimer_async.engine.person_mask import PersonMask
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.torso import Torso
from photoanimer_async.engine.warp import Box, Field, Lattice, inverse, smoothstep

_CELL = 1 / 12
"""Side of a lattice cell, in u."""

_INVERSION_ROUNDS = 8
_FADE_ABOVE, _FADE_BELOW = 0.65, 1.05
"""Distance from the head's edge at which the weight is 0, in radii of the ellipse."""

_REACH = 2.05
"""Multiple of the ellipse outside which nothing moves."""

_RESTRAINT = 1 / 1.3
"""Factor on the motion of a head in a single layer, so that its background bends less."""

_BORDER = 0.06
"""Width of the strip at the borders in which the weight falls, relative to the longest side."""

_NECK_START, _NECK_LENGTH = 0.46, 0.60
"""Where the head's weight begins to fall, below the face's centre, and over what length; in heights
of the face."""

_SHOULDERS_START = 1.25
"""Distance from the face's axis, in half widths of the head, from which skin below the ears belongs
to the shoulders."""

_HALF_STRIP = 0.7
"""Width of the strip at a border that cuts off half the face, in heights of the face."""

_LEAST_STRIP = 4
"""Least width of the strip at the borders, in cells of the lattice."""

_INNER_RING, _OUTER_RING = 1.12, 1.68
"""Multiples of the ellipse at which the depth is 0."""

_DEPTH_SCALE = 1.25
"""Factor on the mesh's depth; without it, rotations are a quarter too small."""

_SPINE = 0.22
"""Distance of the axis of yaw behind the plane of the ears, in u."""

_NOD, _TILT = 0.30, 0.75
"""Distances of the axes of pitch and roll below the centre of the face, in heights of the face."""


@frozen(eq=False)
class HeadMotion:
    """The motion of one head.

    Attributes:
        box: The pixels that can move.
        lattice: The lattice of the head's fields.
    """

    box: Box
    lattice: Lattice
    _pixels: Field
    _coordinates: FaceCoordinates
    _across: Floats
    _down: Floats
    _depth: Floats
    _weight: Floats
    _nod: float
    _tilt: float
    _torso: Torso | None
    _free: Field  # weights of motion across and down the picture

    @classmethod
    def of(
        cls,
        landmarks: Array,
        coordinates: FaceCoordinates,
        ellipse: HeadEllipse,
        photo: Picture,
        person: PersonMask | None,
    ) -> Self:
        """Prepare a head.

        Args:
            landmarks: The face's, shape (478, 3).
            coordinates: The face's coordinates.
            ellipse: The outline of the head.
            photo: RGB, shape (H, W, 3).
            person: The person to move in front of the background; None for a single layer.
        """
        picture = Box.of(photo)
        reach = Box.around(ellipse.outline(_REACH, 64)) & picture
        box = reach if person is None else person.region.box
        lattice = Lattice.covering(box, max(4, round(_CELL * coordinates.unit)))
        nodes = lattice.nodes()
        torso = None
        if person is None:
            weight = _weight_in_one_layer(photo, ellipse, lattice)
            free = _free_of_cuts(photo, ellipse, nodes)
        else:
            free = person.mobility.at(nodes)
            weight = _weight_of_head(ellipse, nodes)
            torso = Torso.of(person.region, ellipse, coordinates.unit, nodes)
        across, down = ellipse.axes_of(nodes)
        return cls(
            box,
            lattice,
            box.pixels(),
            coordinates,
            across.astype(np.float32),
            down.astype(np.float32),
            _depth(landmarks, coordinates, ellipse, nodes).astype(np.float32),
            weight.astype(np.float32),
            nod=_NOD * ellipse.face_height,
            tilt=_TILT * ellipse.face_height,
            torso=torso,
            free=free,
        )

    def forward(self, motion: FaceMotion) -> Field:
        """Return the displacement of each node, shape (rows, columns, 2), in pixels."""
        restraint = _RESTRAINT if self._torso is None else 1.0
        yaw, pitch, roll, to_right, to_below = (
            restraint * motion.get(name, 0.0)
            for name in ("headYaw", "headPitch", "headRoll", "headX", "headY")
        )
        yaw, pitch, roll = math.radians(yaw), math.radians(pitch), math.radians(roll)
        x, y, z = self._across, self._down, self._depth
        spine = np.float32(_SPINE * self._coordinates.unit)
        z = z + spine
        turned_x = x * math.cos(yaw) + z * math.sin(yaw)
        z = z * math.cos(yaw) - x * math.sin(yaw) - spine
        turned_y = (y - self._nod) * math.cos(pitch) + z * math.sin(pitch) + self._nod
        low = turned_y - self._tilt
        zoom = 1 + motion.get("headZoom", 0.0)
        new_x = (turned_x * math.cos(roll) - low * math.sin(roll)) * zoom
        new_y = (turned_x * math.sin(roll) + low * math.cos(roll)) * zoom + self._tilt
        right = (new_x - x + to_right * self._coordinates.unit) * self._weight
        below = (new_y - y + to_below * self._coordinates.unit) * self._weight
        cos, sin = math.cos(self._coordinates.roll), math.sin(self._coordinates.roll)
        moved = np.stack([right * cos - below * sin, right * sin + below * cos], axis=-1)
        if self._torso is not None:
            moved = moved + self._torso.displacement(motion)
        return (moved * self._free).astype(np.float32)

    def pose(self, motion: FaceMotion) -> "HeadPose":
        """Return the head in a motion."""
        if is_still(motion):
            return HeadPose(self, None, None)
        forward = self.forward(motion)
        return HeadPose(self, forward, inverse(self.lattice, forward, _INVERSION_ROUNDS))

    def pixels(self, backward: Field) -> Field:
        """Map the box's pixels to the unmoved head, shape (height, width, 2)."""
        moved = self.lattice.enlarged(backward, self.box)
        return np.asarray(cv2.subtract(self._pixels, moved, dst=moved), np.float32)


@frozen(eq=False)
class HeadPose:
    """A head in one frame; its fields are None if it does not move."""

    _head: HeadMotion
    _forward: Field | None
    _backward: Field | None

    @property
    def box(self) -> Box | None:
        """The pixels that can move; None if the head does not move."""
        return None if self._backward is None else self._head.box

    def displacement(self, point: Array) -> Array:
        """Return the displacement of a point of the photo, shape (2,)."""
        if self._forward is None:
            return np.zeros(2)
        place = point.astype(np.float32).reshape(1, 1, 2)
        return self._head.lattice.sample(self._forward, place).reshape(2).astype(np.float64)

    def on_unmoved_head(self, points: Field) -> Field:
        """Map points of the frame, shape (M, N, 2), to the unmoved head."""
        if self._backward is None:
            return points
        return points - self._head.lattice.sample(self._backward, points)

    def pixels_on_unmoved_head(self, box: Box) -> Field:
        """Map the pixels of a box, which is `self.box` unless that is None, to the unmoved head."""
        return box.pixels() if self._backward is None else self._head.pixels(self._backward)


def is_still(motion: FaceMotion) -> bool:
    """Return whether a motion moves neither head nor body."""
    return not any(motion.get(name, 0.0) for name in (*HEAD, *BODY))


def _weight_in_one_layer(photo: Picture, ellipse: HeadEllipse, lattice: Lattice) -> Array:
    """Return 1 on head and hair, falling to 0 across neck, background, and the photo's borders."""
    nodes = lattice.nodes()
    _, down = ellipse.axes_of(nodes)
    below = smoothstep(down / ellipse.high - ellipse.above + 0.3)
    fade = _FADE_ABOVE + (_FADE_BELOW - _FADE_ABOVE) * below
    weight = 1 - smoothstep((ellipse.radius(nodes) - head_edge(photo, ellipse, nodes)) / fade)
    height, width = photo.shape[:2]
    x, y = nodes[..., 0], nodes[..., 1]
    inside = np.minimum.reduce([x, width - 1 - x, y, height - 1 - y]) - lattice.cell
    strip = max(_BORDER * max(width, height), _LEAST_STRIP * lattice.cell)
    return np.asarray(weight * smoothstep(inside / strip), np.float64)


def _free_of_cuts(photo: Picture, ellipse: HeadEllipse, nodes: Field) -> Field:
    """Return how far nodes can move across and down with a face that the photo may cut off."""
    height, width = photo.shape[:2]
    left, top, right, bottom = ellipse.cut_off(Box.of(photo))
    x, y = nodes[..., 0], nodes[..., 1]

    def between(start: Field, end: Field, cut_at_start: float, cut_at_end: float) -> Field:
        free = np.full_like(start, 1 - (1 - HALF_MOTION) * max(cut_at_start, cut_at_end))
        for distance, cut_off in ((start, cut_at_start), (end, cut_at_end)):
            strip = max(_HALF_STRIP * ellipse.face_height * cut_off, 1.0)
            free *= smoothstep(distance / np.float32(strip))
        return free

    across, down = between(x, width - 1 - x, left, right), between(y, height - 1 - y, top, bottom)
    return np.stack([across, down], axis=-1)


def _weight_of_head(ellipse: HeadEllipse, nodes: Field) -> Array:
    """Return 1 on head and hair, falling to 0 across the neck and towards the shoulders."""
    across, down = ellipse.axes_of(nodes)
    height = ellipse.face_height
    neck = smoothstep((down - _NECK_START * height) / (_NECK_LENGTH * height))
    beside = smoothstep((np.abs(across) - _SHOULDERS_START * ellipse.wide) / (0.9 * ellipse.wide))
    below_ears = smoothstep((down - 0.1 * height) / (0.4 * height))
    return np.asarray((1 - neck) * (1 - beside * below_ears), np.float64)


def _depth(
    landmarks: Array, coordinates: FaceCoordinates, ellipse: HeadEllipse, nodes: Field
) -> Array:
    """Return the height above the plane of the ears at each node, in pixels, towards the camera.

    It is a radial-basis spline through landmarks of the mesh, and two rings of height 0 around
    head and hair.
    """
    ears = landmarks[[lm.SIDE_LEFT, lm.SIDE_RIGHT], 2].mean()
    chosen = sorted({*range(0, lm.MESH_COUNT, 4), *lm.FACE_OVAL, lm.NOSE_TIP})
    rings = np.concatenate([ellipse.outline(_INNER_RING, 40), ellipse.outline(_OUTER_RING, 40)])
    known = np.concatenate([landmarks[chosen, :2], rings]) / coordinates.unit
    height = np.concatenate([ears - landmarks[chosen, 2], np.zeros(len(rings))]) / coordinates.unit
    near = ellipse.radius(nodes) < _OUTER_RING
    depth = np.zeros(near.shape)
    depth[near] = _spline(known, height, nodes[near].astype(np.float64) / coordinates.unit)
    fade = 1 - smoothstep((ellipse.radius(nodes) - 1) / 0.5)
    smooth = cv2.GaussianBlur((np.maximum(depth, 0) * fade).astype(np.float32), (0, 0), 0.8)
    return np.asarray(smooth * _DEPTH_SCALE * coordinates.unit, np.float64)


def _spline(known: Array, values: Array, points: Array) -> Array:
    """Evaluate a smoothing spline with multiquadric kernel and a constant term.

    OpenCV solves it: NumPy would wake threads for it, which costs more than the work.
    """

    def kernel(a: Array, b: Array) -> Array:
        squared = np.square(a[:, :1] - b[:, 0]) + np.square(a[:, 1:] - b[:, 1])
        return np.asarray(-np.sqrt(squared + 0.08**2))

    count = len(known)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = kernel(known, known) + 0.05 * np.eye(count)
    system[count, count] = 0
    _, solved = cv2.solve(system, np.append(values, 0)[:, None], flags=cv2.DECOMP_LU)
    weights, constant = solved[:count, 0], solved[count, 0]
    return np.asarray(np.einsum("ij,j->i", kernel(points, known), weights) + constant)

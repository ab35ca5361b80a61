"""The head's turn: a photo has one view only, yet the head can turn a little in space.

Theory of operation
-------------------
Every pixel of the head gets a depth: the mesh's own on the face, falling off smoothly to the
plane of the ears at the outline of the hair. With it the head is turned in space about the
spine, nods about the top of the neck, tilts about its base, and is drawn as seen from the same
camera. Since the axis of the turn lies behind the ears, hair moves along with the face, less than
the nose does.

How much a pixel belongs to the head is its *weight*: 1 in an ellipse around head and hair, from
there smoothly down to 0 across neck and background, and 0 on the borders of the picture. The
displacement is the turn times the weight, so the background follows a little next to the hair and
stands still elsewhere: nothing tears, and nothing is uncovered that the photo does not show.
"""

import math
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine import landmarks as lm
from photoanimer_async.engine.frame import FaceFrame
from photoanimer_async.engine.outline import HeadEllipse, head_edge
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.shapes import HEAD, FaceMotion
from photoanimer_async.engine.warp import Box, Field, Lattice, inverse, smoothstep

Array = NDArray[np.float64]

_CELL = 1 / 12
"""Side of a lattice cell, in u."""

_ROUNDS = 8
_FADE_ABOVE, _FADE_BELOW = 0.65, 1.05
"""How far beyond the head's edge the weight reaches 0, in the ellipse's radii."""

_REACH = 2.05
"""Multiple of the ellipse beyond which nothing moves."""

_BORDER = 0.06
"""Width of the strip along the picture's borders where the weight falls, in its longest side."""

_INNER_RING, _OUTER_RING = 1.12, 1.68
"""Multiples of the ellipse on which the depth is 0."""

_RELIEF = 1.25
"""Deepening of the mesh's depth: without it, turns come out a quarter short."""

_SPINE = 0.22
"""How far behind the plane of the ears the axis of the turn lies, in u."""


@frozen(eq=False)
class HeadTurn:
    """Turns one head.

    Attributes:
        box: The pixels that can move.
        lattice: The lattice on which the head's fields lie.
    """

    box: Box
    lattice: Lattice
    _pixels: Field
    _frame: FaceFrame
    _across: NDArray[np.float32]
    _down: NDArray[np.float32]
    _depth: NDArray[np.float32]
    _weight: NDArray[np.float32]
    _nod: float
    _tilt: float

    @classmethod
    def of(cls, landmarks: Array, frame: FaceFrame, photo: Picture) -> Self:
        """The head of a face with the given landmarks, shape (478, 3), in a photo."""
        ellipse = HeadEllipse.of(landmarks, frame)
        picture = Box.of(photo)
        box = Box.around(ellipse.outline(_REACH, 64)) & picture
        lattice = Lattice.covering(box, max(4, round(_CELL * frame.unit)))
        nodes = lattice.nodes()
        across, down = ellipse.axes_of(nodes)
        radius = ellipse.radius(nodes)
        below = smoothstep(down / ellipse.high - ellipse.above + 0.3)
        fade = _FADE_ABOVE + (_FADE_BELOW - _FADE_ABOVE) * below
        edge = head_edge(photo, ellipse, nodes)
        weight = (1 - smoothstep((radius - edge) / fade)) * _border_weight(nodes, picture)
        depth = _depth(landmarks, frame, ellipse, nodes)
        return cls(
            box,
            lattice,
            box.pixels(),
            frame,
            across.astype(np.float32),
            down.astype(np.float32),
            depth.astype(np.float32),
            weight.astype(np.float32),
            nod=0.30 * ellipse.face_height,
            tilt=0.75 * ellipse.face_height,
        )

    def forward(self, motion: FaceMotion) -> Field:
        """By how much each node moves, shape (rows, columns, 2), in pixels."""
        yaw, pitch, roll = (
            math.radians(motion.get(name, 0.0)) for name in ("headYaw", "headPitch", "headRoll")
        )
        x, y, z = self._across, self._down, self._depth
        spine = np.float32(_SPINE * self._frame.unit)
        z = z + spine
        turned_x = x * math.cos(yaw) + z * math.sin(yaw)
        z = z * math.cos(yaw) - x * math.sin(yaw) - spine
        turned_y = (y - self._nod) * math.cos(pitch) + z * math.sin(pitch) + self._nod
        low = turned_y - self._tilt
        zoom = 1 + motion.get("headZoom", 0.0)
        new_x = (turned_x * math.cos(roll) - low * math.sin(roll)) * zoom
        new_y = (turned_x * math.sin(roll) + low * math.cos(roll)) * zoom + self._tilt
        right = (new_x - x + motion.get("headX", 0.0) * self._frame.unit) * self._weight
        below = (new_y - y + motion.get("headY", 0.0) * self._frame.unit) * self._weight
        cos, sin = math.cos(self._frame.roll), math.sin(self._frame.roll)
        return np.stack([right * cos - below * sin, right * sin + below * cos], axis=-1).astype(
            np.float32
        )

    def posed(self, motion: FaceMotion) -> "HeadPose":
        """The head at one moment."""
        if is_still(motion):
            return HeadPose(self, None, None)
        forward = self.forward(motion)
        return HeadPose(self, forward, inverse(self.lattice, forward, _ROUNDS))

    def pixels(self, backward: Field) -> Field:
        """Where each pixel of the box lay before a turn, shape (height, width, 2)."""
        moved = self.lattice.enlarged(backward, self.box)
        return np.asarray(cv2.subtract(self._pixels, moved), np.float32)


@frozen(eq=False)
class HeadPose:
    """A head at one moment; its fields are None while it stands as in the photo."""

    _head: HeadTurn
    _forward: Field | None
    _backward: Field | None

    @property
    def box(self) -> Box | None:
        """The pixels that move with the head; None if it stands still."""
        return None if self._backward is None else self._head.box

    def moved(self, point: Array) -> Array:
        """By how much a point of the photo, shape (2,), moves."""
        if self._forward is None:
            return np.zeros(2)
        place = point.astype(np.float32).reshape(1, 1, 2)
        return self._head.lattice.sample(self._forward, place).reshape(2).astype(np.float64)

    def unturned(self, points: Field) -> Field:
        """Where points of the frame, shape (M, N, 2), lay before the turn."""
        if self._backward is None:
            return points
        return points - self._head.lattice.sample(self._backward, points)

    def unturned_pixels(self, box: Box) -> Field:
        """Where the pixels of a box lay before the turn; of the pose's own box, if it has one."""
        return box.pixels() if self._backward is None else self._head.pixels(self._backward)


def is_still(motion: FaceMotion) -> bool:
    """Whether the head stands as in the photo."""
    return not any(motion.get(name, 0.0) for name in HEAD)


def _border_weight(nodes: Field, picture: Box) -> Array:
    strip = _BORDER * max(picture.width, picture.height)
    x, y = nodes[..., 0], nodes[..., 1]
    inside = np.minimum.reduce([x, picture.width - 1 - x, y, picture.height - 1 - y])
    return np.asarray(smoothstep(inside / strip))


def _depth(landmarks: Array, frame: FaceFrame, ellipse: HeadEllipse, nodes: Field) -> Array:
    """Height above the plane of the ears at each node, in pixels, towards the camera.

    A radial-basis spline through some of the mesh and, at 0, two rings around head and hair.
    """
    ears = landmarks[[lm.SIDE_LEFT, lm.SIDE_RIGHT], 2].mean()
    chosen = sorted({*range(0, lm.MESH_COUNT, 4), *lm.FACE_OVAL, lm.NOSE_TIP})
    rings = np.concatenate([ellipse.outline(_INNER_RING, 40), ellipse.outline(_OUTER_RING, 40)])
    known = np.concatenate([landmarks[chosen, :2], rings]) / frame.unit
    height = np.concatenate([ears - landmarks[chosen, 2], np.zeros(len(rings))]) / frame.unit
    near = ellipse.radius(nodes) < _OUTER_RING
    depth = np.zeros(near.shape)
    depth[near] = _spline(known, height, nodes[near].astype(np.float64) / frame.unit)
    fade = 1 - smoothstep((ellipse.radius(nodes) - 1) / 0.5)
    smooth = cv2.GaussianBlur((np.maximum(depth, 0) * fade).astype(np.float32), (0, 0), 0.8)
    return np.asarray(smooth * _RELIEF * frame.unit, np.float64)


def _spline(known: Array, values: Array, points: Array) -> Array:
    """A smoothing spline with multiquadric kernel and a constant term."""

    def kernel(a: Array, b: Array) -> Array:
        squared = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
        return np.asarray(-np.sqrt(squared + 0.08**2))

    count = len(known)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = kernel(known, known) + 0.05 * np.eye(count)
    system[count, count] = 0
    solved = np.linalg.solve(system, np.append(values, 0))
    return np.asarray(kernel(points, known) @ solved[:count] + solved[count])

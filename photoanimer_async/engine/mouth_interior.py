"""The interior of a mouth that is open in the photo.

The upper teeth are fixed to the skull, and the lips move in front of them. The lower teeth and the
tongue move with the jaw. The border between the two parts is where it is darkest between the lips,
if it is lighter below.
"""

from collections.abc import Iterator
from typing import Self

import cv2
import numpy as np
from attrs import frozen

from photoanimer_async.engine.arrays import Floats
from photoanimer_async.engine.lips import LipEdges, Lips, MouthAxes
from photoanimer_async.engine.photo_texture import LUMINANCE
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box, Field, resample, smoothstep

_ROWS = 12
"""Number of rows between the lips in which the darkest one is searched for."""

_DISTINCT = 0.25
"""How much darker than its surroundings the border must be, relative to the lightest row."""

_UPPER_TEETH, _UNDER = slice(2, 5), 0.6
"""Rows where upper teeth are, and how light they may be, relative to the lightest row, if there are
none."""

_LIP_EDGE = 0.012
"""Distance from a lip's edge, in u, within which a pixel may show the lip."""

_SKULL, _JAW = 0, 1


@frozen(eq=False)
class MouthInterior:
    """The interior of an open mouth.

    Attributes:
        rest: The lips' edges in the photo.
        split: The border between skull and jaw, from 0 at the upper edge to 1 at the lower one; 1
            if nothing of the jaw is visible, 0 if nothing else.
    """

    rest: Lips
    split: float
    _axes: MouthAxes
    _box: Box
    _unit: float
    _masks: Floats  # of skull and jaw in the box, (h, w, 2), 0 to 1

    @classmethod
    def of(cls, picture: Picture, axes: MouthAxes, rest: Lips, unit: float) -> Self:
        """Prepare the interior of a mouth; `unit` is u in pixels."""
        box = axes.box(rest, 4 + 0.05 * unit) & Box.of(picture)
        if box.empty:
            nothing = Box(0, 0, 1, 1)
            return cls(rest, 1.0, axes, nothing, unit, np.zeros((1, 1, 2), np.float32))
        x, y = axes.local(box.pixels())
        edges = rest.edges(x)
        height = edges.lower - edges.upper
        depth = (y - edges.upper) / np.maximum(height, 0.5)
        light = picture[box.slices].astype(np.float32) @ LUMINANCE
        central = (np.abs(x) < axes.half_width / 2) & (depth > 0) & (depth < 1)
        split = split_depth(depth[central], light[central])
        soft = max(0.02 * unit, 1.0)
        inset = np.minimum(y - edges.upper, edges.lower - y) - _LIP_EDGE * unit
        inset = np.minimum(inset, np.minimum(x - rest.left, rest.right - x) * 0.3)
        inside = smoothstep(inset / np.float32(soft) + 0.5)
        over = np.ones_like(inside)
        if split < 1:
            over = smoothstep((split - depth) * height / np.float32(soft) + 0.5)
        masks = np.stack([inside * over, inside * (1 - over)], axis=-1)
        masks[[0, -1]] = 0
        masks[:, [0, -1]] = 0
        return cls(rest, split, axes, box, unit, masks)

    def parts(
        self, picture: Picture, lips: Lips, edges: LipEdges, x: Floats, y: Floats
    ) -> Iterator[tuple[Picture, Floats]]:
        """Yield the interior at positions x, y, shape (h, w), from back to front.

        Args:
            picture: The photo.
            lips: The lips' edges.
            edges: The lips' edges at each position.
            x: Horizontal positions, in pixels.
            y: Vertical positions, in pixels.

        Yields:
            Colours, shape (h, w, 3), and their opacity, (h, w), 0 to 1.
        """
        ratio = (self.rest.right - self.rest.left) / (lips.right - lips.left)
        # A widening mouth uncovers more teeth; half of it is rendered as stretching.
        scale = np.float32(min(0.5 + 0.5 * ratio, 1.0))
        own_x = (x - np.float32((lips.left + lips.right) / 2)) * scale
        if self.split < 1:
            yield self._sampled(picture, own_x, y - np.float32(lips.jaw), _JAW)
        own = self.rest.edges(own_x)
        end = own.upper + (own.lower - own.upper) * np.float32(self.split)
        # The lower end of the upper teeth is fixed. A rising upper lip stretches them, a sinking
        # one covers them.
        start = np.minimum(edges.upper, own.upper)
        # The lip's soft edge goes with the lip: it must not appear on the teeth.
        first = own.upper + np.minimum(own.upper - start, np.float32(2 * _LIP_EDGE * self._unit))
        stretch = (end - first) / np.maximum(end - start, np.float32(0.5))
        own_y = first + (y - start) * stretch.astype(np.float32)
        yield self._sampled(picture, own_x, own_y, _SKULL)

    def _sampled(self, picture: Picture, x: Floats, y: Floats, part: int) -> tuple[Picture, Floats]:
        positions: Field = self._axes.in_picture(x, y)
        offset = np.array([self._box.left, self._box.top], np.float32)
        kept = resample(self._masks, positions - offset)[..., part]
        return resample(picture, positions, cv2.INTER_CUBIC), kept


def split_depth(depth: Floats, light: Floats) -> float:
    """Return the depth of the dark that separates upper from lower teeth or tongue.

    Args:
        depth: Depth of pixels between the lips, 0 at the upper edge, 1 at the lower, shape (n,).
        light: Their luminance, shape (n,).

    Returns:
        The depth, 0.2 to 0.85; 1 if it is not lighter below the dark; 0 if only lower teeth or the
        tongue are light, under a dark that begins at the upper lip.
    """
    index = np.minimum((depth * _ROWS).astype(int), _ROWS - 1)
    counts = np.bincount(index, minlength=_ROWS)
    if not counts.all():
        return 1.0
    rows = np.bincount(index, light, _ROWS) / counts
    rows = np.convolve(np.pad(rows, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    if rows.argmax() >= _ROWS // 2 and rows[_UPPER_TEETH].max() < _UNDER * rows.max():
        return 0.0
    darkest = int(rows[2 : _ROWS - 2].argmin()) + 2
    least = _DISTINCT * rows.max()
    rises = min(rows[darkest:].max(), rows[:darkest].max()) - rows[darkest] > least
    return (darkest + 0.5) / _ROWS if rises else 1.0

"""Filling what a person hides of the background.

Theory of operation
-------------------
Deep behind the person, the fill is smooth: it is never seen, but must not be conspicuous. Known
colours are averaged over larger and larger areas, and the average of the smallest area that has any
is used (*push-pull*).

A person who moves uncovers the rim of the hole. A smooth fill is invisible there only on a plain
wall: stripes, foliage or text must continue. So the rim is covered by *tiles* along its edge, half
of each on what the photo shows, half behind the person. For each tile, the place nearby is searched
for that looks most like its visible half, first coarsely, then finely, so that stripes meet; the
hidden half is copied from there. Tiles overlap and are blended. Each is made lighter or darker as a
whole, so that its visible half agrees with the photo. Where no place is like it, letters would be
scrambled: only the grain is copied, and structures fade into the smooth fill.
"""

from collections.abc import Iterator
from typing import Self

import cv2
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp import Box

_SMOOTH = 32
"""Samples in a length of u for the smooth fill."""

_SMALLEST = 2
"""Side of the smallest area for the smooth fill, in samples."""

_COARSE_SCALE, _FINE_SCALE = 16.0, 64.0
"""Length of u, in pixels, to which the photo is shrunk for the two searches."""

_REACH = 0.36
"""Half the side of a tile, in u."""

_SPACING = 0.28
"""Distance between tiles, in u."""

_SEARCH = 1.2
"""Largest distance, in u, from which a tile is copied."""

_MIN_VISIBLE = 0.15
"""Least part of a tile that must be visible."""

_MAX_HIDDEN = 0.3
"""Largest part of the place it is copied from that may be hidden."""

_COST_OF_HIDDEN = 2000.0
"""Cost of a hidden pixel there, as a squared difference of colours."""

_EXPECTED = 0.2
"""Weight of a tile's hidden half in the search: it should be like the smooth fill there, so that
nothing conspicuous is copied."""

_MAX_ERROR, _NOISE = 2.2, 50.0
"""Error of a tile, relative to the variance of what it should look like, from which it is not used;
and the variance of noise, as a squared difference of colours."""

_MAX_MISMATCH = 36.0
"""Error, as root mean square in levels, from which a tile is not used: it would be conspicuous."""

_FINE, _MAX_FINE = 0.06, 10.0
"""Size of the structures, in u, that are still taken from a tile that is not used, and their
largest amount, in levels: a smooth fill would look blurred."""

_LITTLE = 1e-3
"""Weight up to which a pixel has no tile."""

_MAX_CHANGE = 30.0
"""Largest change of a tile's light or colour, in levels."""


def sampling_step(unit: float) -> int:
    """Return which pixels are samples for `fill_smoothly`: every n-th; u in pixels."""
    return max(1, int(unit) // _SMOOTH)


def fill_smoothly(
    samples: NDArray[np.uint8] | Floats, visible: NDArray[np.uint8] | NDArray[np.bool_] | Floats
) -> Floats:
    """Return a smooth field of the visible samples, also where none are visible.

    Args:
        samples: Shape (H, W, C), C of at least 2.
        visible: Whether each sample is used, shape (H, W).
    """
    weight = visible.astype(np.float32)
    shown = samples * weight[..., None]
    levels = [(shown, weight)]
    while min(levels[-1][1].shape) > _SMALLEST:
        shown, weight = (np.asarray(cv2.pyrDown(a), np.float32) for a in levels[-1])
        levels.append((shown, weight))
    shown, weight = levels.pop()
    filled = shown / np.maximum(weight, np.float32(1e-4))[..., None]
    for shown, weight in reversed(levels):
        size = (weight.shape[1], weight.shape[0])
        coarse = np.asarray(cv2.pyrUp(filled, dstsize=size), np.float32)
        mean = shown / np.maximum(weight, np.float32(1e-4))[..., None]
        filled = coarse + (mean - coarse) * np.minimum(weight * 4, 1)[..., None]
    return np.asarray(filled, np.float32)


def fill_with_texture(picture: Picture, visible: Floats, unit: float) -> Picture:
    """Return a smoothly filled picture with texture in the rim of its hole.

    Args:
        picture: Shape (H, W, 3).
        visible: 1 where pixels are those of the photo, else 0, shape (H, W).
        unit: u in pixels.
    """
    coarse = _Scaled.of(picture, visible, _COARSE_SCALE / unit)
    fine = _Scaled.of(picture, visible, _FINE_SCALE / unit)
    reach = max(1, round(_REACH * unit))
    mosaic = _Mosaic.of(picture, visible, reach, max(3, round(_FINE * unit)))
    for centre in _centres(visible, _SPACING * unit):
        offset = coarse.best_offset(centre, reach, np.zeros(2), _SEARCH * unit)
        if offset is not None:
            offset = fine.best_offset(centre, reach, offset, 1.5 / coarse.scale)
        if offset is not None:
            mosaic.copy_tile(centre, offset)
    return mosaic.filled(sampling_step(unit))


@frozen(eq=False)
class _Mosaic:
    """Overlapping tiles that are copied within a picture."""

    picture: Picture
    visible: Floats
    window: Floats  # weight of each pixel of a tile
    fine: int  # size of fine structures, in pixels
    colours: Floats  # sum of the tiles' colours times weights, (H, W, 3)
    weights: Floats  # sum of the weights, (H, W)

    @classmethod
    def of(cls, picture: Picture, visible: Floats, reach: int, fine: int) -> Self:
        ramp = np.cos(np.linspace(-np.pi / 2, np.pi / 2, 2 * reach + 1)) ** 2
        window = (ramp[:, None] * ramp).astype(np.float32)
        colours, weights = np.zeros(picture.shape, np.float32), np.zeros_like(visible)
        return cls(picture, visible, window, fine, colours, weights)

    def copy_tile(self, centre: Array, offset: Array) -> None:
        """Copy a tile around a point from a place at an offset, both of shape (2,)."""
        square, whole = _square(centre, len(self.window) // 2), Box.of(self.picture)
        x, y = offset.round().astype(int).tolist()
        tile = square & whole & Box(-x, -y, whole.right - x, whole.bottom - y)
        if tile.empty:
            return
        place = Box(tile.left + x, tile.top + y, tile.right + x, tile.bottom + y).slices
        weight = self.window[tile.within(square)] * self.visible[place]
        both = (weight * self.visible[tile.slices])[..., None]
        seen = self.picture[tile.slices].astype(np.float32)
        copied = self.picture[place].astype(np.float32)
        area = max(float(both.sum()), 1e-3)
        mean = (seen * both).sum(axis=(0, 1)) / area
        change = mean - (copied * both).sum(axis=(0, 1)) / area
        copied += np.clip(change, -_MAX_CHANGE, _MAX_CHANGE)
        error = float((np.square(seen - copied) * both).sum())
        spread = float((np.square(seen - mean) * both).sum()) + _NOISE * area
        most = min(spread * _MAX_ERROR, 3 * area * _MAX_MISMATCH**2)
        fits = np.float32(np.clip(2 - 2 * error / most, 0, 1))
        if fits < 1:
            grain = copied - cv2.blur(copied, (self.fine, self.fine))
            plain = seen + np.clip(grain, -_MAX_FINE, _MAX_FINE)
            copied = plain + (copied - plain) * fits
        self.colours[tile.slices] += copied * weight[..., None]
        self.weights[tile.slices] += weight

    def filled(self, step: int) -> Picture:
        """Return the picture with the tiles in its hidden part.

        What they differ from the photo where both are known is corrected, smoothly, also where
        they are not. Every `step`-th pixel is used for that.
        """
        known = (self.weights > _LITTLE).astype(np.float32)
        both = known * self.visible
        tiles = self.colours / np.maximum(self.weights, np.float32(_LITTLE))[..., None]
        differing = (self.picture[::step, ::step] - tiles[::step, ::step]).astype(np.float32)
        correction = fill_smoothly(differing, both[::step, ::step])
        rim = (known > 0) & (self.visible == 0)
        size = (rim.shape[1], rim.shape[0])
        smooth = self.picture[rim].astype(np.float32)
        textured = tiles[rim] + cv2.resize(correction, size)[rim]
        share = np.minimum(self.weights[rim] * 4, 1)[:, None]
        result = self.picture.copy()
        result[rim] = np.clip(np.round(smooth + (textured - smooth) * share), 0, 255)
        return result


@frozen(eq=False)
class _Scaled:
    """A picture at one scale, in which the places to copy from are searched for."""

    scale: float
    colours: Floats
    visible: Floats

    @classmethod
    def of(cls, picture: Picture, visible: Floats, scale: float) -> Self:
        scale = min(scale, 1.0)
        height, width = visible.shape
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(visible, size, interpolation=cv2.INTER_AREA)
        return cls(scale, small.astype(np.float32), (seen > 1 - 1e-3).astype(np.float32))

    def best_offset(
        self, centre: Array, reach: float, around: Array, search: float
    ) -> Array | None:
        """Return the offset to the place that a tile should be copied from, shape (2,), if any.

        Args:
            centre: Centre of the tile, shape (2,), like all lengths in pixels of the whole picture.
            reach: Half the tile's side.
            around: Offset around which places are tried.
            search: Largest distance from it.
        """
        whole = Box.of(self.colours)
        tile = _square(centre * self.scale, reach * self.scale) & whole
        area = _square((centre + around) * self.scale, (reach + search) * self.scale + 1) & whole
        if tile.empty or area.width < tile.width or area.height < tile.height:
            return None
        seen = self.visible[tile.slices]
        if seen.mean() < _MIN_VISIBLE:
            return None
        mask = cv2.cvtColor(np.maximum(seen, np.float32(_EXPECTED)), cv2.COLOR_GRAY2RGB)
        error = cv2.matchTemplate(
            self.colours[area.slices], self.colours[tile.slices], cv2.TM_SQDIFF, mask=mask
        )
        hidden = cv2.matchTemplate(1 - self.visible[area.slices], np.ones_like(seen), cv2.TM_CCORR)
        cost = error + np.float32(_COST_OF_HIDDEN) * hidden
        cost[hidden > _MAX_HIDDEN * seen.size] = np.inf
        row, column = np.unravel_index(int(cost.argmin()), cost.shape)
        if not np.isfinite(cost[row, column]):
            return None
        offset = [area.left + int(column) - tile.left, area.top + int(row) - tile.top]
        return np.array(offset, np.float64) / self.scale


def _square(centre: Array, reach: float) -> Box:
    """Return the pixels within a distance of a point in x and y, both rounded."""
    (x, y), side = centre.round().astype(int).tolist(), round(reach)
    return Box(x - side, y - side, x + side + 1, y + side + 1)


def _centres(visible: Floats, spacing: float) -> Iterator[Array]:
    """Yield points on the edge of the hidden pixels, shape (2,), one in each cell of a grid."""
    hidden = (visible == 0).astype(np.uint8)
    y, x = np.nonzero(hidden - cv2.erode(hidden, np.ones((3, 3), np.uint8)))
    points = np.stack([x, y], axis=-1)
    _, cell_of = np.unique((points / spacing).astype(int), axis=0, return_inverse=True)
    for cell in range(int(cell_of.max(initial=-1)) + 1):
        yield points[cell_of.ravel() == cell].mean(axis=0)

"""Whether the lips are closed in speech, read from the sound by a small network.

At m, b and p the lips meet; at t, d, k and g the tongue closes the mouth behind open lips. Both
are short dips of the same loudness. What tells them apart is around the dip: the burst after it
(low for lips, above 3 kHz for the tip of the tongue, near the second formant for its back), and the
formants on both sides, which fall towards lips and rise towards the tongue. No weighted sum of
bands separates them, so a network with one hidden layer reads the
levels of twelve bands within 120 ms.

Its weights were fitted by `tests/engine/fit_lip_closure.py` to synthetic speech in nine languages,
with noise and colouration as microphones add them.
"""

import functools
from importlib.resources import as_file, files
from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from photoanimer_async.engine.arrays import Array, Floats
from photoanimer_async.engine.curves import Curve

LIPS = 1
"""Column of `LipClosure.kinds`: the lips are closed."""


@frozen(eq=False)
class LipClosure:
    """The network.

    Attributes:
        edges: Edges of the bands, in Hz; shape (k + 1,).
        offsets: Measurements before and after the one that is read, shape (m,).
    """

    edges: Floats
    offsets: NDArray[np.int64]
    hidden: Floats  # (m * k + 1, units): weights of the inputs, and the bias last
    kinds: Floats  # (units + 1, kinds of sound), likewise

    @classmethod
    @functools.cache
    def load(cls) -> Self:
        """Return the fitted network."""
        place = files("photoanimer_async.engine") / "weights" / "lip_closure.npz"
        with as_file(place) as path, np.load(path) as stored:
            weights = {
                name: stored[name].astype(np.float32) for name in ("edges", "hidden", "kinds")
            }
            return cls(offsets=stored["offsets"].astype(np.int64), **weights)

    def log_odds(self, levels: Array) -> Curve:
        """Return the log-odds that the lips are closed, shape (n,).

        Args:
            levels: Levels of the bands, shape (n, k), see `BandEnergies.levels`.
        """
        inputs = in_context(levels, self.offsets).astype(np.float32)
        units = np.tanh(inputs @ self.hidden[:-1] + self.hidden[-1])
        kinds = units @ self.kinds[:-1] + self.kinds[-1]
        others = np.delete(kinds, LIPS, axis=1)
        return np.asarray(kinds[:, LIPS] - np.logaddexp.reduce(others, axis=1), np.float64)


def in_context(levels: Array, offsets: NDArray[np.int64]) -> Array:
    """Return levels, shape (n, k), at all offsets side by side, shape (n, offsets * k)."""
    reach, count = int(np.abs(offsets).max()), len(levels)
    padded = np.pad(levels, ((reach, reach), (0, 0)), mode="edge")
    return np.concatenate([padded[reach + at :][:count] for at in offsets], axis=1)

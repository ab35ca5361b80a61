"""Types of arrays, for positions, lengths, colours and weights of any shape."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""What is computed once for each photo, in full precision."""

Floats: TypeAlias = NDArray[np.float32]
"""What is computed for each pixel, or for each frame."""

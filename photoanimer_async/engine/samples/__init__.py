"""Two portraits in the public domain, for trying out and for tests.

`ASTRONAUT` is Eileen Collins, photographed for NASA; `GRACE_HOPPER` is Grace Hopper,
photographed for the US Navy. Both are works of the US government.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

ASTRONAUT: Traversable = files(__name__) / "astronaut.jpg"
GRACE_HOPPER: Traversable = files(__name__) / "grace_hopper.jpg"
PORTRAITS: tuple[Traversable, ...] = (ASTRONAUT, GRACE_HOPPER)
"""JPEG files; `read_bytes()` returns their content, `name` is the file name."""

"""The interface of engines, and engines by name.

An engine turns a photo of a face and a motion into frames. This package has one, `WarpEngine`.
Other packages offer engines by entry points of the group `photoanimer_async.engines`::

    [project.entry-points."photoanimer_async.engines"]
    live = "my_package:LiveEngine"

The entry point is a class or function without arguments that returns an `Engine`.
"""

from importlib.metadata import entry_points
from typing import Protocol

from photoanimer_async.engine.blendshapes import FaceMotion
from photoanimer_async.engine.face import Face
from photoanimer_async.engine.picture import Picture
from photoanimer_async.engine.warp_engine import WarpEngine

GROUP = "photoanimer_async.engines"
WARP = "warp"


class Portrait(Protocol):
    """A face in a photo, prepared for rendering."""

    def frame(self, motion: FaceMotion) -> Picture:
        """Render the photo with the face moved.

        Args:
            motion: Coefficients by name, see `blendshapes.NAMES`; a missing one is 0.

        Returns:
            RGB, shape (H, W, 3), of the photo's size. If all coefficients are 0, equal to the
            photo.
        """


class Engine(Protocol):
    """A renderer of face motions.

    Example:
        >>> portrait = engine.prepare(image, face)  # doctest: +SKIP
        >>> frame = portrait.frame({"mouthSmileLeft": 0.5, "headYaw": 4.0})  # doctest: +SKIP
    """

    def prepare(self, image: Picture, face: Face) -> Portrait:
        """Compute what all frames of a face share.

        Args:
            image: The photo, RGB, shape (H, W, 3).
            face: A face in it.
        """


def load_engine(name: str) -> Engine:
    """Return an instance of the engine with a name.

    Raises:
        ValueError: No engine with this name is installed.
        TypeError: The entry point does not return an engine.
    """
    if name == WARP:
        return WarpEngine()
    found = entry_points(group=GROUP)
    if name not in found.names:
        installed = ", ".join(sorted({WARP, *found.names}))
        raise ValueError(f"engine {name!r} is not installed; installed engines: {installed}")
    engine = found[name].load()()
    if not callable(getattr(engine, "prepare", None)):
        raise TypeError(f"the entry point {name!r} returned {engine!r}, which has no prepare()")
    return engine  # type: ignore[no-any-return]  # an entry point is untyped

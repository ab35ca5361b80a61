"""The animation engine: a photo and an expression in, a video out. Knows nothing of HTTP.

Names are loaded when they are first used, so that the errors cost no import of numpy or OpenCV.
"""

import importlib
from typing import TYPE_CHECKING

from photoanimer_async.engine.engine_errors import (
    EngineError,
    NoFaceError,
    PictureError,
    VoiceError,
)

if TYPE_CHECKING:
    from photoanimer_async.engine.face import Face
    from photoanimer_async.engine.portrait import Engine, Portrait
    from photoanimer_async.engine.render import Rendering, RenderSettings, animate
    from photoanimer_async.engine.shapes import FaceMotion

__all__ = [
    "Engine",
    "EngineError",
    "Face",
    "FaceMotion",
    "NoFaceError",
    "PictureError",
    "Portrait",
    "RenderSettings",
    "Rendering",
    "VoiceError",
    "animate",
]

_HOMES = {
    "Engine": "portrait",
    "Face": "face",
    "FaceMotion": "shapes",
    "Portrait": "portrait",
    "RenderSettings": "render",
    "Rendering": "render",
    "animate": "render",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

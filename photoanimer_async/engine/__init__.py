"""The animation engine: a photo of a face and an expression in, a video out.

Names are imported on first use, so that importing the errors does not import numpy or OpenCV.

The engine sends nothing to anybody. Its library onnxruntime would: unless a variable says no
before it is loaded, it writes an id of the machine into the home folder and reports to Microsoft.
So this module, which is imported before any other of the engine, sets the variable; child
processes inherit it.
"""

import importlib
import os
from typing import TYPE_CHECKING

from photoanimer_async.engine.engine_errors import (
    EngineError,
    NoFaceError,
    PictureError,
    VoiceError,
)

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from photoanimer_async.engine.blendshapes import FaceMotion
    from photoanimer_async.engine.engines import Engine, Portrait
    from photoanimer_async.engine.face import Face
    from photoanimer_async.engine.render import Rendering, RenderSettings, animate

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

_MODULES = {
    "Engine": "engines",
    "Face": "face",
    "FaceMotion": "blendshapes",
    "Portrait": "engines",
    "RenderSettings": "render",
    "Rendering": "render",
    "animate": "render",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)

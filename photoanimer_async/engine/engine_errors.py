"""Errors about the photo or the voice given to the engine.

::

    EngineError
    ├── PictureError   the photo cannot be decoded, or is too large
    ├── NoFaceError    the photo shows no face
    └── VoiceError     the voice cannot be decoded, is empty, or is too long

The messages are written for the person who sent the photo. This module imports nothing, so that
a process that only forwards errors does not load numpy or OpenCV.
"""


class EngineError(Exception):
    """The base class of all errors about the input."""


class PictureError(EngineError):
    """The photo cannot be decoded, or is too large."""


class NoFaceError(EngineError):
    """No face was found in the photo."""


class VoiceError(EngineError):
    """The voice cannot be decoded, is empty, or is too long."""

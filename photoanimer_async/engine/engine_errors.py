"""What can be wrong with what the engine is given.

::

    EngineError
    ├── PictureError   the photo cannot be read, or is larger than allowed
    ├── NoFaceError    the photo can be read, but shows no person
    └── VoiceError     the sound cannot be read, is empty, or is longer than allowed

The text of each is written for the person who sent the photo. This module imports nothing, so
that a process which only passes errors on need not load numpy or OpenCV.
"""


class EngineError(Exception):
    """The root of all errors that are raised on purpose by the engine."""


class PictureError(EngineError):
    """The photo cannot be read as a picture, or is larger than allowed."""


class NoFaceError(EngineError):
    """No person's face was found in the photo."""


class VoiceError(EngineError):
    """The voice cannot be read as sound, is empty, or is longer than allowed."""

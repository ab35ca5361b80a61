"""Errors as one line for people."""

import os
import re

from cyclopts import CycloptsError, UnknownOptionError

from photoanimer_async.errors import AuthenticationError
from photoanimer_async.redaction import printable

_OPTION_VALUE = re.compile(r"(--?[\w-]+)=\S*?(?=\.?(?:\s|$))")


def error_text(error: Exception) -> str:
    """Return what an error says, and what to do where its own text cannot know that."""
    match error:
        case CycloptsError():
            return _cyclopts_text(error)
        case OSError():
            return _os_error_text(error)
        case AuthenticationError():
            return f"{error}; check PHOTOANIMER_API_KEY or --api-key"
        case _:
            return str(error)


def _cyclopts_text(error: CycloptsError) -> str:
    # A mistyped `--api-key=` is followed by a key, which is not shown.
    text = _OPTION_VALUE.sub(r"\1", str(error))
    if isinstance(error, UnknownOptionError):
        name = error.token.keyword or error.token.value
        if os.path.lexists(name):
            text += f" To name the file: ./{printable(name)}"
    return text


def _os_error_text(error: OSError) -> str:
    name = "" if error.filename is None else f"{printable(str(error.filename))}: "
    return f"{name}{error.strerror or error}"

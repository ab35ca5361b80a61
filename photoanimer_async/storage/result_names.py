"""How results are named.

`grandma.jpg` gives `grandma.mp4`, a second one `grandma-2.mp4`. A URL gives the last part of
its path, content in memory `photo`.
"""

import os
import re
import unicodedata
from pathlib import PurePath
from urllib.parse import unquote

from photoanimer_async.models import Photo
from photoanimer_async.redaction import is_url

_MAX_STEM_BYTES = 180  # with a number and a suffix, a name stays within 200
_UNSAFE = r'[/\\:*?"<>|]'
_JOINERS = "\u200c\u200d"  # not printable by themselves, but part of Persian words and emoji
_RESERVED = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"


def result_name(photo: Photo, suffix: str, name: str | None = None) -> str:
    """Return the file name of a photo's result, before any number is added.

    Args:
        photo: the photo.
        suffix: `.mp4` or `.gif`.
        name: another name than the photo's, without suffix.
    """
    return f"{safe_stem(name if name is not None else stem_of(photo))}{suffix}"


def safe_stem(name: str) -> str:
    """Return the name with everything replaced that a file system may refuse.

    At most 180 bytes of UTF-8; `photo` if nothing is left of it.
    """
    normal = unicodedata.normalize("NFC", name)
    visible = normal
    if not normal.isprintable():
        visible = "".join([c if c.isprintable() or c in _JOINERS else "_" for c in normal])
    stem = _cut(re.sub(_UNSAFE, "_", visible).strip(" .-")).rstrip(" .-") or "photo"
    return f"_{stem}" if re.fullmatch(_RESERVED, stem, re.IGNORECASE) else stem


def numbered(name: str, number: int) -> str:
    """Return the name with a number; number 1 is the name itself."""
    if number == 1:
        return name
    path = PurePath(name)
    return f"{_cut(path.stem)}-{number}{path.suffix}"


def stem_of(photo: Photo) -> str:
    """Return the name of a photo's file without its suffix; for content, `photo`."""
    if isinstance(photo, bytes):
        return "photo"
    path = os.fspath(photo)
    if isinstance(photo, str) and is_url(photo):
        path = unquote(re.split("[?#]", photo.partition("//")[2].partition("/")[2])[0])
    return PurePath(path).stem


def _cut(stem: str) -> str:
    return stem.encode(errors="replace")[:_MAX_STEM_BYTES].decode(errors="ignore")

"""Why a photo cannot be used, or what the studio's computer lacks, in words for people.

The reasons of the `photos` room are for programs and logs: they name bytes, limits and libraries.
The page says what the file is, and what to do.
"""

import errno
import os
import re
from collections.abc import Callable, Sequence

_Words = Callable[[re.Match[str]], str]

_DAMAGED = "This photo is damaged or incomplete. Choose another copy of it."
_WORDS: Sequence[tuple[re.Pattern[str], _Words]] = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^is empty", lambda _: "This file is empty."),
        (r"^is of an unknown kind|^is not a photo", lambda _: "This is not a photo."),
        (r"^is text\b", lambda _: "This is a text, not a photo."),
        (r"^is .* at once", lambda _: "This file is a picture and something else at once."),
        (
            r"^is an? (HEIC|AVIF|TIFF);.*pip install",
            lambda found: f"{found[1]} photos cannot be read here. Save it as JPEG, and add that.",
        ),
        (
            r"^is an? (HEIC|AVIF|TIFF)\b",
            lambda found: (
                f"A {found[1]} cannot be used in this way. "
                "Add the file itself, or save it as JPEG first."
            ),
        ),
        (r"^is (an? [^;(]+?);", lambda found: f"This is {found[1]}, not a photo."),
        (
            r"(\d+)x(\d+) pixels; a face needs",
            lambda found: f"This picture is too small: {found[1]} by {found[2]} pixels.",
        ),
        (
            r"(\d+)x(\d+) pixels; at most",
            lambda found: (
                f"This picture is too large: {found[1]} by {found[2]} pixels. "
                "Save it smaller, and add that."
            ),
        ),
        (r"\bMB\b", lambda _: "This file is too large. Save it smaller, and add that."),
        (r"damaged|cut off|truncated|decoded", lambda _: _DAMAGED),
        (
            r"measurements|too many scans|scans",
            lambda _: "This picture cannot be read. Save it as JPEG, and add that.",
        ),
        (r"user name or password", lambda _: "The link contains a password. Add the file instead."),
        (r"URLs? (are|is)|the URL", lambda _: "This is not a link to a photo on the web."),
    )
]


def in_words(reason: str) -> str:
    """Return one or two sentences for a reason; one that is not known stays as it is."""
    for pattern, words in _WORDS:
        if found := pattern.search(reason):
            return words(found)
    text = reason[:1].upper() + reason[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def shortage_in_words(shortage: BaseException) -> str:
    """Return two sentences for what this machine is short of.

    Args:
        shortage: an error of this process, or a worker's `ShortageError`, which has its text only.
    """
    if any(os.strerror(number) in str(shortage) for number in (errno.ENOSPC, errno.EDQUOT)):
        return "The disk of the studio's computer is full. Free some space, then try again."
    return "The studio's computer is short of memory or of open files. Try again in a moment."

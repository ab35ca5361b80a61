"""From what was named on the command line to the photos of a batch."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.redaction import is_url, printable, shown_photo

TAKEN = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"})
"""Suffixes of the pictures that the service takes (API page, Frequently asked questions)."""

MEANT = TAKEN | {".heic", ".heif", ".avif", ".tif", ".tiff"}
"""Those and the suffixes of photos that it does not take: in a folder they are photos that
somebody wants animated, so that each is told about rather than passed over. GIFs are not among
them: they are what comes out."""

STANDARD_INPUT = "-"

_WILDCARD = re.compile(r"[*?\[]")

Found = str | Path | InvalidPhotoError
"""A photo, or why there is none where one was named."""


def find_photos(named: Iterable[str], *, recursive: bool = False) -> list[Found]:
    """The photos that URLs, files, folders, patterns and `-` stand for, in that order.

    - A folder stands for the photos in it, sorted by name; with `recursive` also for those in
      the folders below, but not behind links to folders. Hidden ones are left alone.
    - A name with `*`, `?` or `[`, unless there is such a file, is a pattern and stands for the
      files that match; `**` stands for any folders.
    - `-` stands for what standard input lists, one on a line; or, with null characters between
      them, names that hold line ends.

    Where no photo is found, there is an error in its place. What is found twice under the
    same name, as in a folder and by itself, is one photo.

    Raises:
        WrongUseError: a name is empty, as from an unset shell variable; it is an option;
            nothing is listed.
    """
    found: list[Found] = []
    names = list(named)
    if names.count(STANDARD_INPUT) > 1:
        raise WrongUseError("standard input can be read once: name - once")
    for name in names:
        if not name:
            raise WrongUseError("the name of a photo is empty")
        if name.startswith("-") and name != STANDARD_INPUT:
            # What follows a mistyped `--api-key=` is not to be shown.
            option = printable(name.partition("=")[0])
            raise WrongUseError(f"unknown option: {option} (a file of that name is ./{option})")
        for one in _listed() if name == STANDARD_INPUT else [name]:
            found += _photos_of(one, recursive=recursive)
    return list(dict.fromkeys(found))


def _listed() -> list[str]:
    """What standard input lists, whatever its names are encoded in."""
    listed = b"" if sys.stdin is None else sys.stdin.buffer.read()
    lines = listed.split(b"\0") if b"\0" in listed else listed.splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise WrongUseError("standard input lists no photo")
    return names


def _photos_of(name: str, *, recursive: bool) -> Iterable[Found]:
    if is_url(name):
        return [name]
    if os.path.isdir(name):  # noqa: PTH112 - `Path.is_dir` raises for names that can not be
        return _photos_in(Path(name), recursive=recursive)
    if _WILDCARD.search(name) and not os.path.lexists(name):
        return _matches(name)
    return [Path(name)]


def _photos_in(folder: Path, *, recursive: bool) -> Iterator[Found]:
    """The photos of a folder, those of each folder before those of the folders in it."""
    unread: list[Found] = []

    def refuse(error: OSError) -> None:
        where = Path(error.filename or folder)
        unread.append(_refused(where, f"the folder can not be read: {error.strerror}"))

    none = True
    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) * recursive
        for name in sorted(files):
            if _is_photo(name):
                none = False
                yield Path(where, name)
    yield from unread
    if none and not unread:
        kinds = ", ".join(sorted(suffix[1:] for suffix in TAKEN))
        yield _refused(folder, f"there is no photo in the folder (looked for {kinds})")


def _matches(pattern: str) -> list[Found]:
    """The files that match. `glob.glob` would follow links to folders, round and round."""
    path = Path(pattern)
    fixed = next(index for index, part in enumerate(path.parts) if _WILDCARD.search(part))
    start, rest = Path(*path.parts[:fixed]), Path(*path.parts[fixed:])
    if rest.name == "**":
        rest /= "*"
    try:
        found = {
            match
            for match in start.glob(str(rest))
            if not _is_hidden(match.relative_to(start)) and not match.is_dir()
        }
    except (OSError, ValueError) as error:
        return [_refused(path, f"is no pattern that can be looked for: {error}")]
    return [*sorted(found)] or [_refused(path, "there is no file that matches")]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_photo(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in MEANT  # noqa: PTH122 - names by the thousand


def _refused(path: Path, why: str) -> InvalidPhotoError:
    name = shown_photo(path)
    return InvalidPhotoError(f"{name}: {why}", photo=name)

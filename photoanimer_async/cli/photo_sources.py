"""Find the photos that URLs, files, folders, patterns, lists and manifests name."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import frozen

from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.manifest import RowDefaults, read_manifest
from photoanimer_async.cli.options import PhotoOptions
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import AnimationRequest, OutputFormat
from photoanimer_async.redaction import is_url, printable, shown_photo

ACCEPTED_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"})
"""Suffixes of the formats that the service accepts (API page, Frequently asked questions)."""

PHOTO_SUFFIXES = ACCEPTED_SUFFIXES | {".heic", ".heif", ".avif", ".tif", ".tiff"}
"""Suffixes of the files that count as photos in a folder.

Formats that the service does not accept are among them, so that each such file is reported
rather than skipped. GIFs are not: they are results.
"""

STANDARD_INPUT = "-"

_WILDCARD = re.compile(r"[*?\[]")

FoundPhoto = str | Path | InvalidPhotoError
"""A photo, or the error for a name that stands for none."""


@frozen
class PhotoSelection:
    """The photos of a batch, and the errors of names that stand for no photo."""

    requests: Sequence[AnimationRequest]
    refused: Sequence[InvalidPhotoError]


def select_photos(
    names: Sequence[str], options: PhotoOptions, output_format: OutputFormat = OutputFormat.MP4
) -> PhotoSelection:
    """Return the photos that a command names, with the options for each.

    Args:
        names: the command's arguments; see `find_photos`.
        options: where else photos are listed, and how to animate them.
        output_format: `mp4` or `gif`, where a manifest does not say.

    Raises:
        UsageError: no photo is named, or the manifest is not valid.
        InvalidRequestError: options that exclude each other.
    """
    if not names and options.manifest is None:
        raise UsageError("no photo is given: name URLs, files or folders of photos")
    defaults = RowDefaults(
        template=options.template,
        output_format=output_format,
        voice_url=options.voice_url,
        voice_seconds=options.voice_seconds,
    )
    how = defaults.options()
    listed = [] if options.manifest is None else read_manifest(options.manifest, defaults)
    found = find_photos(names, recursive=options.recursive)
    return PhotoSelection(
        [AnimationRequest(p, how) for p in found if not isinstance(p, InvalidPhotoError)] + listed,
        [p for p in found if isinstance(p, InvalidPhotoError)],
    )


def find_photos(names: Sequence[str], *, recursive: bool = False) -> list[FoundPhoto]:
    """Return the photos that names stand for, in their order.

    - A folder stands for the photos in it, sorted by name; with `recursive` also for those in
      the folders below, but not behind links to folders. Hidden files are skipped.
    - A name with `*`, `?` or `[` that is not a file's is a pattern, and stands for the files
      that match; `**` stands for any folders.
    - `-` stands for the names on standard input, one on a line; or separated by null
      characters, for names that contain line ends.

    An error takes the place of a name for which there is no photo. A photo that is found twice
    under the same name, as in a folder and by itself, is returned once.

    Raises:
        UsageError: a name is empty, as from an unset shell variable; it is an option;
            standard input lists nothing.
    """
    found: list[FoundPhoto] = []
    if names.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input can be read only once: name - once")
    for name in names:
        if not name:
            raise UsageError("the name of a photo is empty")
        if name.startswith("-") and name != STANDARD_INPUT:
            # A mistyped `--api-key=` is followed by a key, which is not shown.
            option = printable(name.partition("=")[0])
            raise UsageError(f"unknown option: {option} (a file of that name is ./{option})")
        for one in _names_on_standard_input() if name == STANDARD_INPUT else [name]:
            found += _photos_of(one, recursive=recursive)
    return list(dict.fromkeys(found))


def _names_on_standard_input() -> list[str]:
    listed = b"" if sys.stdin is None else sys.stdin.buffer.read()
    lines = listed.split(b"\0") if b"\0" in listed else listed.splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise UsageError("standard input lists no photo")
    return names


def _photos_of(name: str, *, recursive: bool) -> Iterable[FoundPhoto]:
    if is_url(name):
        return [name]
    if os.path.isdir(name):  # noqa: PTH112 - `Path.is_dir` raises for impossible names
        return _photos_in(Path(name), recursive=recursive)
    if _WILDCARD.search(name) and not os.path.lexists(name):
        return _matches(name)
    return [Path(name)]


def _photos_in(folder: Path, *, recursive: bool) -> Iterator[FoundPhoto]:
    """Yield the photos of a folder, those of each folder before those of its subfolders."""
    unread: list[FoundPhoto] = []

    def refuse(error: OSError) -> None:
        where = Path(error.filename or folder)
        unread.append(_refused(where, f"the folder cannot be read: {error.strerror}"))

    none = True
    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) * recursive
        for name in sorted(files):
            if _is_photo(name):
                none = False
                yield Path(where, name)
    yield from unread
    if none and not unread:
        kinds = ", ".join(sorted(suffix[1:] for suffix in ACCEPTED_SUFFIXES))
        yield _refused(folder, f"there is no photo in the folder (looked for {kinds})")


def _matches(pattern: str) -> list[FoundPhoto]:
    """Return the files that match. `glob.glob` would follow links to folders without end."""
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
        return [_refused(path, f"the pattern is not valid: {error}")]
    return [*sorted(found)] or [_refused(path, "no file matches")]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_photo(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES  # noqa: PTH122 - names by the thousand


def _refused(path: Path, why: str) -> InvalidPhotoError:
    name = shown_photo(path)
    return InvalidPhotoError(f"{name}: {why}", photo=name)

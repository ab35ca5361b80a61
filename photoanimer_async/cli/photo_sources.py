"""Find the photos that URLs, files, folders, patterns, lists and manifests name."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.manifest import RowDefaults, read_manifest
from photoanimer_async.cli.options import PhotoOptions
from photoanimer_async.cli.photo_folders import (
    Skipped,
    is_left_alone,
    refused_photo,
    search_folder,
)
from photoanimer_async.cli.standard_streams import STANDARD_INPUT
from photoanimer_async.cli.template_names import TEMPLATES
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import AnimationRequest, OutputFormat
from photoanimer_async.redaction import is_url

_WILDCARD = re.compile(r"[*?\[]")

FoundPhoto = str | Path | InvalidPhotoError
"""A photo, or the error for a name that stands for none."""


@frozen
class PhotoSelection:
    """The photos of a batch.

    Attributes:
        requests: the photos.
        refused: the errors of names that stand for no photo.
        skipped: what was skipped in folders.
    """

    requests: Sequence[AnimationRequest]
    refused: Sequence[InvalidPhotoError]
    skipped: Mapping[Skipped, int]


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
        template=None if options.template is None else TEMPLATES[options.template],
        output_format=output_format,
        voice_url=options.voice_url,
        voice_seconds=options.voice_seconds,
    )
    how = defaults.options()
    listed = [] if options.manifest is None else read_manifest(options.manifest, defaults)
    skipped = Counter[Skipped]()
    found = find_photos(names, recursive=options.recursive, skipped=skipped)
    return PhotoSelection(
        [AnimationRequest(p, how) for p in found if not isinstance(p, InvalidPhotoError)] + listed,
        [p for p in found if isinstance(p, InvalidPhotoError)],
        skipped,
    )


def find_photos(
    names: Sequence[str], *, recursive: bool = False, skipped: Counter[Skipped] | None = None
) -> list[FoundPhoto]:
    """Return the photos that names stand for, in their order.

    - A folder stands for the photos in it, sorted by name; with `recursive` also for those in
      the folders below, but not behind links to folders. Hidden and system folders are skipped.
    - A name with `*`, `?` or `[` that is not a file's is a pattern, and stands for the files
      that match; `**` stands for any folders.
    - `STANDARD_INPUT` stands for the names on standard input, one on a line; or separated by null
      characters, for names that contain line ends.

    An error takes the place of a name for which there is no photo. A photo that is found twice
    under the same name, as in a folder and by itself, is returned once.

    Args:
        names: files, folders, patterns, URLs.
        recursive: whether folders below folders are searched.
        skipped: where to count what is skipped in folders.

    Raises:
        UsageError: a name is empty, as from an unset shell variable; standard input lists
            nothing.
    """
    found: list[FoundPhoto] = []
    if names.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input can be read only once: name - once")
    for name in names:
        if not name:
            raise UsageError("the name of a photo is empty")
        for one in _names_on_standard_input() if name == STANDARD_INPUT else [name]:
            found += _photos_of(one, Counter() if skipped is None else skipped, recursive=recursive)
    return list(dict.fromkeys(found))


def _names_on_standard_input() -> list[str]:
    listed = b"" if sys.stdin is None else sys.stdin.buffer.read()
    lines = listed.split(b"\0") if b"\0" in listed else listed.splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise UsageError("standard input lists no photo")
    return names


def _photos_of(name: str, skipped: Counter[Skipped], *, recursive: bool) -> Iterable[FoundPhoto]:
    if is_url(name):
        return [name]
    if os.path.isdir(name):  # noqa: PTH112 - `Path.is_dir` raises for impossible names
        contents = search_folder(Path(name), recursive=recursive)
        skipped.update(contents.skipped)
        return [*contents.photos, *contents.errors]
    if _WILDCARD.search(name) and not os.path.lexists(name):
        return _matches(name)
    return [Path(name)]


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
            if not any(map(is_left_alone, match.relative_to(start).parts)) and not match.is_dir()
        }
    except (OSError, ValueError) as error:
        return [refused_photo(path, f"the pattern is not valid: {error}")]
    return [*sorted(found)] or [refused_photo(path, "no file matches")]

"""From what was named on the command line to requests."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.cli.manifest import Defaults, read_manifest
from photoanimer_async.cli.sources import find_photos
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import AnimationRequest


@frozen
class Named:
    """What was named: photos, and what is none."""

    requests: Sequence[AnimationRequest]
    refused: Sequence[InvalidPhotoError]


def named_photos(
    photos: Iterable[str], manifest: Path | None, defaults: Defaults, *, recursive: bool
) -> Named:
    """The photos, and how to animate them.

    Args:
        photos: URLs, files, folders, patterns, `-`; see `find_photos`.
        manifest: a file that lists more, with options of their own.
        defaults: how to animate those that have none.
        recursive: whether folders stand for what is below them too.

    Raises:
        WrongUseError: no photo is named; something in the manifest is not allowed.
        InvalidRequestError: options that do not go together.
    """
    names = list(photos)
    if not names and manifest is None:
        raise WrongUseError("no photo is given: name URLs, files or folders of photos")
    options = defaults.options()
    listed = [] if manifest is None else read_manifest(manifest, defaults)
    found = find_photos(names, recursive=recursive)
    return Named(
        [AnimationRequest(p, options) for p in found if not isinstance(p, InvalidPhotoError)]
        + listed,
        [p for p in found if isinstance(p, InvalidPhotoError)],
    )

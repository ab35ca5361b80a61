"""From what was named on the command line to requests."""

from collections.abc import Iterable, Sequence

from attrs import frozen

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.cli.sources import find_photos
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.models import AnimationOptions, AnimationRequest, OutputFormat


@frozen
class Named:
    """What was named: photos, and what is none."""

    requests: Sequence[AnimationRequest]
    refused: Sequence[InvalidPhotoError]


def named_photos(
    photos: Iterable[str],
    template: int | None,
    voice_url: str | None,
    voice_seconds: float | None,
    *,
    gif: bool = False,
) -> Named:
    """The photos, and how to animate them: template 1, or 0 with a voice, if none is chosen.

    Raises:
        WrongUseError: no photo is named.
        InvalidRequestError: options that do not go together.
    """
    names = list(photos)
    if not names:
        raise WrongUseError("no photo is given: name URLs, files or folders of photos")
    if template is None:
        template = 1 if voice_url is None else 0
    options = AnimationOptions(
        template=template,
        output_format=OutputFormat.GIF if gif else OutputFormat.MP4,
        voice_url=voice_url,
        voice_seconds=voice_seconds,
    )
    found = find_photos(names)
    return Named(
        [AnimationRequest(p, options) for p in found if not isinstance(p, InvalidPhotoError)],
        [p for p in found if isinstance(p, InvalidPhotoError)],
    )

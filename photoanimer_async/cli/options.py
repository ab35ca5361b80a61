"""The options that commands share: each is defined once and means the same everywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from photoanimer_async.redaction import shown_url
from photoanimer_async.storage.default_host import HOST_VARIABLE

API_KEY_VARIABLE = "PHOTOANIMER_API_KEY"
BASE_URL_VARIABLE = "PHOTOANIMER_BASE_URL"

ApiKey: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--api-key",
        env_var=API_KEY_VARIABLE,
        help="The account's key. Better set in the environment, since other users of the "
        "machine can see the command line.",
    ),
]
BaseUrl: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--base-url",
        help=f"The service, with its path; by default from {BASE_URL_VARIABLE}, else "
        "https://www.cutout.pro/api/v1.",
    ),
]
Concurrency: TypeAlias = Annotated[
    int,
    Parameter(
        name="--concurrency",
        validator=Number(gte=1, lte=1000),
        help="Requests of one kind under way at once, at most.",
    ),
]
Host: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--host",
        help="Object store that files are put into for as long as the service needs them, such "
        f"as s3://bucket/prefix; by default from {HOST_VARIABLE}, else they are served from this "
        "machine, to a service on it.",
    ),
]
Out: TypeAlias = Annotated[
    str,
    Parameter(
        name="--out",
        help="Folder for the results, made if it is missing; or part of an object store, such "
        "as s3://bucket/prefix.",
    ),
]
TemplateNumber: TypeAlias = Annotated[
    int | None,
    Parameter(
        name="--template",
        validator=Number(gte=0, lte=5),
        help="The expression, 0 to 5; by default 1, or 0 with a voice. They last, and cost, "
        "3.13, 7.13, 2.13, 6.75, 4.38 and 3.75 seconds.",
    ),
]
Gif: TypeAlias = Annotated[
    bool,
    Parameter(name="--gif", negative="", show_default=False, help="Save GIFs instead of videos."),
]
Local: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--local",
        negative="",
        show_default=False,
        help="Animate on this machine, with a service of this process: no account, no internet.",
    ),
]

MaxSeconds: TypeAlias = Annotated[
    float | None,
    Parameter(
        name="--max-seconds",
        validator=Number(gte=0),
        help="Video seconds that may be spent, at most; those that earlier runs of the journal "
        "have spent count.",
    ),
]
RetryFailed: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--retry-failed",
        negative="",
        show_default=False,
        help="Pay once more for what failed in an earlier run.",
    ),
]
ResubmitAmbiguous: TypeAlias = Annotated[
    float,
    Parameter(
        name="--resubmit-ambiguous",
        validator=Number(gte=0),
        show_default=False,
        help="Video seconds that may be spent on photos that may have been charged already.",
    ),
]
Yes: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--yes", negative="", show_default=False, help="Do not ask about what it will cost."
    ),
]
VoiceUrl: TypeAlias = Annotated[
    str | None,
    Parameter(name="--voice-url", help="URL of a sound for the mouths to follow; template 0 only."),
]
VoiceSeconds: TypeAlias = Annotated[
    float | None,
    Parameter(name="--voice-seconds", help="How long that sound is, for reckoning what it costs."),
]

Photos: TypeAlias = Annotated[
    str,
    Parameter(
        name="PHOTO",
        allow_leading_hyphen=True,  # for `-`; what else begins so is told to be no option
        help="URLs, files, folders, patterns such as 'photos/**/*.jpg', and - for a list on "
        "standard input.",
    ),
]
Recursive: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--recursive",
        negative="",
        show_default=False,
        help="Take the photos in folders below a folder too.",
    ),
]
Manifest: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--manifest",
        help="A CSV or JSON Lines file that lists photos with options of their own: photo, "
        "template, format, voice_url, voice_seconds, name.",
    ),
]
NoPrepare: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--no-prepare",
        negative="",
        show_default=False,
        help="Send files as they are. Without it they are turned upright, converted from HEIC, "
        "AVIF or TIFF, shrunk to the limits, and freed of metadata (place, device), where they "
        "need it.",
    ),
]
CheckUrls: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--check-urls",
        negative="",
        show_default=False,
        help="Ask the hosts of URLs whether the photos are there before they are submitted.",
    ),
]

OUT = "animated"
JOURNAL_NAME = "photoanimer.journal"
CONCURRENCY = 64


def resume_options(
    journal: Path, base_url: str | None, host: str | None = None, *, prepare: bool = True
) -> Sequence[str]:
    """What `photoanimer resume` needs to go on where a command with these options stopped."""
    options = [str(journal)]
    if base_url is not None:
        options += ["--base-url", shown_url(base_url)]
    if host is not None:
        options += ["--host", shown_url(host)]
    return options if prepare else [*options, "--no-prepare"]


def wait_options(out: str, base_url: str | None, *, gif: bool) -> Sequence[str]:
    """What `photoanimer wait` needs to go on where a command with these options stopped."""
    options = [] if out == OUT else ["--out", out]
    if base_url is not None:
        options += ["--base-url", shown_url(base_url)]
    return [*options, "--gif"] if gif else options

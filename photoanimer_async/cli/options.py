"""The options that commands share: each is defined once and means the same everywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from photoanimer_async.redaction import shown_url

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
Out: TypeAlias = Annotated[
    Path,
    Parameter(
        name="--out",
        help="Folder for the results; made if it is missing.",
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

OUT = Path("animated")
CONCURRENCY = 64


def wait_options(out: Path, base_url: str | None, *, gif: bool) -> Sequence[str]:
    """What `photoanimer wait` needs to go on where a command with these options stopped."""
    options = [] if out == OUT else ["--out", str(out)]
    if base_url is not None:
        options += ["--base-url", shown_url(base_url)]
    return [*options, "--gif"] if gif else options

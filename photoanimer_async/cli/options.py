"""The options that several commands have, each written once.

Options that always go together are a frozen class, whose fields become options of the command
that has a parameter of this type.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from attrs import evolve, field, frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from photoanimer_async.api.base_url import complete_base_url
from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.template_names import TemplateName
from photoanimer_async.jobs.lifecycle import DEFAULT_TIMEOUT
from photoanimer_async.jobs.progress import ProgressHook
from photoanimer_async.models import Location
from photoanimer_async.redaction import printable, shown_url
from photoanimer_async.storage.default_host import HOST_VARIABLE
from photoanimer_async.storage.result_store import parse_location, split_result

if TYPE_CHECKING:  # it needs aiohttp, whose import would delay the workers of `animate --local`
    from photoanimer_async.jobs.batch_runner import BatchOptions

API_KEY_VARIABLE = "PHOTOANIMER_API_KEY"
BASE_URL_VARIABLE = "PHOTOANIMER_BASE_URL"

DEFAULT_CONCURRENCY = 64
DEFAULT_OUT = "animated"

FLAG = Parameter(negative="", show_default=False)
"""For an option without a value, that cannot be given as `--no-...`."""

Concurrency: TypeAlias = Annotated[
    int,
    Parameter(
        name="--concurrency",
        validator=Number(gte=1, lte=1000),
        help="Most requests of one kind that are open at once.",
    ),
]
Gif: TypeAlias = Annotated[bool, FLAG, Parameter(name="--gif", help="Save GIFs instead of videos.")]
JournalFile: TypeAlias = Annotated[
    Path, Parameter(name="JOURNAL", help="The journal of a batch, or the folder that it is in.")
]
Local: TypeAlias = Annotated[
    bool,
    FLAG,
    Parameter(
        name="--local",
        help="Animate on this machine, with a service in this process: no account, no internet.",
    ),
]
AllFaces: TypeAlias = Annotated[
    bool,
    FLAG,
    Parameter(
        name="--all-faces",
        help="Animate everyone in a photo, not only the largest face; on this machine only.",
    ),
]
Out: TypeAlias = Annotated[
    str,
    Parameter(
        name="--out",
        help="Folder for the results, created if missing; for a single one also a file, such as "
        "grandma.mp4; or either in an object store, such as s3://bucket/prefix.",
    ),
]
Photos: TypeAlias = Annotated[
    str,
    Parameter(
        name="PHOTO",
        help="URLs, files, folders, patterns such as 'photos/**/*.jpg', and - for a list on "
        "standard input.",
    ),
]
Port: TypeAlias = Annotated[
    int,
    Parameter(name="--port", validator=Number(gte=0, lte=65535), help="Port; 0 for a free one."),
]
Json: TypeAlias = Annotated[
    bool, FLAG, Parameter(name="--json", help="Print JSON for programs: one object on each line.")
]
Timeout: TypeAlias = Annotated[
    float | None,
    Parameter(
        name="--timeout",
        validator=Number(gte=0),
        help="Seconds to wait for the end of a task, which can be waited for again; 0 for no "
        f"limit; by default {DEFAULT_TIMEOUT:g}, and no limit on this machine.",
    ),
]


@Parameter(name="*")
@frozen(kw_only=True)
class AccountOptions:
    """Which service, and whose account."""

    base_url: Annotated[
        str | None,
        Parameter(
            help=f"The service; by default from {BASE_URL_VARIABLE}, else "
            "https://www.cutout.pro/api/v1.",
        ),
    ] = None
    api_key: Annotated[
        str | None,
        Parameter(
            env_var=API_KEY_VARIABLE,
            help="The account's key. Better set in the environment, because other users of the "
            "machine can see the command line.",
        ),
    ] = field(default=None, repr=False)
    proxy: Annotated[
        str | None,
        Parameter(
            help="URL of an http or https proxy; by default from HTTPS_PROXY and HTTP_PROXY, but "
            "for hosts in NO_PROXY.",
        ),
    ] = field(default=None, repr=False)

    @property
    def chosen_base_url(self) -> str | None:
        """The service by option or environment; `None` for the client's default."""
        url = self.base_url or os.environ.get(BASE_URL_VARIABLE)
        return complete_base_url(url) if url else None

    def as_arguments(self) -> Sequence[str]:
        """Return the arguments that repeat these options, without key and passwords."""
        base_url = complete_base_url(self.base_url) if self.base_url else None
        options = {"--base-url": base_url, "--proxy": self.proxy}
        given = [(name, shown_url(url)) for name, url in options.items() if url is not None]
        return [part for pair in given for part in pair]


@Parameter(name="*")
@frozen(kw_only=True)
class PhotoOptions:
    """Which photos, besides those named as arguments, and how to animate them."""

    recursive: Annotated[
        bool, FLAG, Parameter(help="Also take the photos in the folders below a folder.")
    ] = False
    manifest: Annotated[
        Path | None,
        Parameter(
            help="A CSV or JSON Lines file that lists photos with options of their own: photo, "
            "template, format, voice_url, voice_seconds, name.",
        ),
    ] = None
    template: Annotated[
        TemplateName | None,
        Parameter(
            help="The expression, by name or number; by default looking-around, or talking with a "
            "voice. They last, and cost, 3.13, 7.13, 2.13, 6.75, 4.38 and 3.75 seconds.",
        ),
    ] = None
    voice_url: Annotated[
        str | None,
        Parameter(help="URL of a sound that the mouths follow; template 0 only."),
    ] = field(default=None, repr=False)
    voice_seconds: Annotated[
        float | None, Parameter(help="Length of that sound, to calculate what it costs.")
    ] = None


@Parameter(name="*")
@frozen(kw_only=True)
class SubmitOptions:
    """How photos are sent, and what may be spent on them."""

    no_prepare: Annotated[
        bool,
        FLAG,
        Parameter(
            help="Send files as they are. Without it they are turned upright, converted from "
            "HEIC, AVIF or TIFF, reduced to the limits, and stripped of metadata (place, device), "
            "where needed.",
        ),
    ] = False
    check_urls: Annotated[
        bool,
        FLAG,
        Parameter(help="Check that photos given as URLs exist before they are submitted."),
    ] = False
    host: Annotated[
        str | None,
        Parameter(
            help="Object store for files, for as long as the service needs them, such as "
            f"s3://bucket/prefix; by default from {HOST_VARIABLE}, else this machine serves them, "
            "to a service on this machine only.",
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        Parameter(
            validator=Number(gte=0),
            help="Most video seconds to spend, including those that earlier runs of the journal "
            "have spent.",
        ),
    ] = None
    timeout: Timeout = None
    retry_failed: Annotated[
        bool, FLAG, Parameter(help="Pay again for photos that failed in an earlier run.")
    ] = False
    resubmit_ambiguous: Annotated[
        float,
        Parameter(
            validator=Number(gte=0),
            show_default=False,
            help="Video seconds to spend on photos that may have been charged already.",
        ),
    ] = 0.0

    def batch_options(
        self, on_progress: ProgressHook, *, save_to: Location | None = None
    ) -> "BatchOptions":
        """Return the keywords of `animate_many` and `resume` for these options."""
        return {
            "save_to": save_to,
            "on_progress": on_progress,
            "timeout": limit_of(self.timeout),
            "max_seconds": self.max_seconds,
            "prepare": not self.no_prepare,
            "check_urls": self.check_urls,
            "retry_failed": self.retry_failed,
            "resubmit_ambiguous": self.resubmit_ambiguous,
        }

    def as_arguments(self) -> Sequence[str]:
        """Return the arguments that repeat how photos are sent, and what may be spent."""
        host = [] if self.host is None else ["--host", shown_url(self.host)]
        timeout = [] if self.timeout is None else ["--timeout", f"{self.timeout:g}"]
        limit = [] if self.max_seconds is None else ["--max-seconds", f"{self.max_seconds:.15g}"]
        return [*host, *timeout, *limit, *["--no-prepare"] * self.no_prepare]


def refuse_with_local(account: AccountOptions, submit: SubmitOptions | None = None) -> None:
    """Refuse options of an account for photos that are animated on this machine.

    Raises:
        UsageError: one is given.
    """
    given = {
        "--base-url": account.base_url,
        "--proxy": account.proxy,
        # Whoever has a key in the environment may still animate on this machine.
        "--api-key": account.api_key != os.environ.get(API_KEY_VARIABLE),
        "--host": None if submit is None else submit.host,
    }
    for name, value in given.items():
        if value:
            raise UsageError(
                f"{name} is of no use for photos that are animated on this machine: they exclude "
                "each other"
            )


def require_local_for(*, all_faces: bool) -> None:
    """Refuse an option that a service elsewhere does not have.

    Raises:
        UsageError: it is given.
    """
    if all_faces:
        raise UsageError(
            "--all-faces is for photos that are animated on this machine: the service animates "
            "one face"
        )


def without_limit(submit: SubmitOptions) -> SubmitOptions:
    """Return the options for a service in this process, where every task ends by itself."""
    return evolve(submit, timeout=0.0) if submit.timeout is None else submit


def limit_of(timeout: float | None) -> float | None:
    """Return the seconds that `--timeout` stands for; `None` for no limit."""
    return DEFAULT_TIMEOUT if timeout is None else timeout or None


def wait_arguments(out: str, account: AccountOptions, *, gif: bool) -> Sequence[str]:
    """Return the arguments of `photoanimer wait`, besides the task ids, with the same options."""
    where = [] if out == DEFAULT_OUT else ["--out", out]
    return [*where, *account.as_arguments(), *["--gif"] * gif]


def split_out(out: str, output_format: str) -> tuple[str, str | None]:
    """Return the folder that `--out` names, and the result's name if it names one file.

    Raises:
        InvalidRequestError: the file has the suffix of another format.
    """
    folder, name = split_result(out, output_format, "--out")
    return str(folder), name


def result_location(out: str) -> Location:
    """Return the location that `--out` names, and create the folder if it is one.

    Raises:
        UsageError: the folder cannot be created.
        InvalidRequestError: it is a URL, but not of an object store.
    """
    location = parse_location(out, "--out")
    if isinstance(location, str):
        return location
    shown = printable(str(location))
    try:
        location.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"--out: {shown} exists and is not a folder") from None
    except OSError as error:
        raise UsageError(f"--out: {shown} cannot be created: {error.strerror}") from None
    return location


def listen_error(error: OSError, host: str, port: int) -> UsageError:
    """Return the error for a `--host` and `--port` that cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} of {host} is in use; choose another with --port, or use any free one "
            "with --port 0"
        )
    return UsageError(f"cannot listen on port {port} of {host}: {error.strerror or error}")

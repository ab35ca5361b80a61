"""The commands by name, and what becomes of their errors.

Commands are named here and loaded when they are called, so that `photoanimer --help` is quick.
"""

import re
import sys
import warnings
from collections.abc import Sequence

from attrs import frozen
from cyclopts import App, CycloptsError

import photoanimer_async
from photoanimer_async.cli.exits import ExitStatus, WrongUseError
from photoanimer_async.errors import ApiError, InvalidRequestError, PhotoAnimerError
from photoanimer_async.redaction import printable


@frozen
class _Command:
    """A command: its name, which is its module's and function's too, and its help.

    One that has commands of its own is an `App` called `app` in its module.
    """

    name: str
    arguments: str
    help: str
    has_commands: bool = False


_EXIT_STATUS = """
The exit status is 0 if all are done, 1 if some failed, 2 for wrong use, 130 after Ctrl-C."""

_COMMANDS = (
    _Command(
        "demo",
        "",
        """Bring two portraits to life on this machine: no account, no internet.

Both are animated with all six templates at once, which gives twelve videos. The videos of an
earlier demo in the same folder are replaced.""",
    ),
    _Command(
        "animate",
        "PHOTO... ",
        f"""Bring photos to life: URLs, files, folders, patterns, lists and manifests.

Each photo gives a video that is named after it; no file is overwritten. A photo that fails
holds up no other; at the end it is told which did, and why. Files are sent as the service takes
them: upright, as JPEG where they are of another kind, within the limits, and without metadata.
`--dry-run` shows what that is, and what it costs, and sends nothing.

A manifest lists photos with options of their own. It is CSV with a head line, or JSON Lines:

    photo,template,format,voice_url,voice_seconds,name
    anna.heic,3,gif,,,Anna laughs

Files are named as seen from the manifest's folder; what is empty is as for the whole batch.

What was paid for is kept in a journal beside the results. After Ctrl-C, a crash, or a balance
that was used up, the same command goes on where it was, and so does `photoanimer resume`:
nothing is paid for twice. Ctrl-C lets submits under way get their answers; a second one leaves
at once.
{_EXIT_STATUS}""",
    ),
    _Command(
        "resume",
        "JOURNAL ",
        f"""Go on with a batch that was stopped or killed.

What was not submitted is submitted, what was submitted is waited for, and what was not saved
is downloaded. What failed is not paid for again unless --retry-failed is given. Photos that
may have been charged are listed, and submitted again only within the video seconds of
--resubmit-ambiguous; those that the service is known to have accepted never are.
{_EXIT_STATUS}""",
    ),
    _Command(
        "status",
        "JOURNAL ",
        """Show how far a batch is, what it has cost, and what is unclear.

It can be looked at while the batch runs.""",
    ),
    _Command(
        "estimate",
        "PHOTO... ",
        """Show what animating photos will cost; nothing is sent.

A video costs 3.13, 7.13, 2.13, 6.75, 4.38 or 3.75 video seconds with template 0 to 5. What a
voice costs is not documented: its length is assumed.""",
    ),
    _Command(
        "wait",
        "TASK_ID... ",
        f"""Wait for tasks by their ids, and download their results.

This costs nothing: tasks are paid for when they are submitted. Each result is named after its
task; no file is overwritten.
{_EXIT_STATUS}""",
    ),
    _Command(
        "balance",
        "",
        """Show what is left on the account.

A video costs 3.13, 7.13, 2.13, 6.75, 4.38 or 3.75 video seconds with template 0 to 5.""",
    ),
    _Command(
        "serve",
        "",
        """Run a local service that speaks the same API and really animates.

It runs until Ctrl-C or SIGTERM. Tasks that have not ended by then go on when it is started
with the same folder again. Without any key it is open to everybody on this machine, and to
nobody else; `photoanimer serve keys add NAME` gives somebody a key.""",
        has_commands=True,
    ),
    _Command(
        "studio",
        "",
        """Open a page in the browser to bring photos to life with.

Without an API key, or with --local, photos are animated on this machine: no account, no
internet. It runs until Ctrl-C or SIGTERM; what is on its way then goes on when it is started
with the same folder again, and nothing is paid for twice.""",
    ),
)

_GIVEN_VALUE = re.compile(r"(--?[\w-]+)=\S*")


def build_app() -> App:
    """The command line as a whole."""
    app = App(
        name="photoanimer",
        help="Turn face photos into moving videos. Begin with `photoanimer demo`.",
        version=photoanimer_async.__version__,
        suppress_keyboard_interrupt=False,
        usage="Usage: photoanimer COMMAND [OPTIONS]",
    )
    for place, command in enumerate(_COMMANDS):
        module = f"photoanimer_async.cli.{command.name}"
        target = f"{module}:{'app' if command.has_commands else command.name}"
        usage = f"Usage: photoanimer {command.name} {command.arguments}[OPTIONS]"
        # An `App` has a usage of its own.
        own = {} if command.has_commands else {"usage": usage}
        app.command(target, name=command.name, help=command.help, sort_key=place, **own)
    return app


def run(arguments: Sequence[str]) -> int:
    """Runs one command; gives the exit status. Errors become one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # What Pillow finds odd in a photo's metadata is nobody's concern here.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        status = build_app()(
            list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        # What follows a mistyped `--api-key=` is not to be shown.
        return _complain(_GIVEN_VALUE.sub(r"\1", str(error)), ExitStatus.WRONG_USE)
    except WrongUseError as error:
        return _complain(str(error), ExitStatus.WRONG_USE)
    except PhotoAnimerError as error:
        ours = isinstance(error, InvalidRequestError) and not isinstance(error, ApiError)
        return _complain(str(error), ExitStatus.WRONG_USE if ours else ExitStatus.FAILED)
    except OSError as error:
        return _complain(_told(error), ExitStatus.FAILED)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return ExitStatus(status or ExitStatus.DONE)


def _complain(text: str, status: ExitStatus) -> ExitStatus:
    sys.stderr.write(f"photoanimer: {text}\n")
    return status


def _told(error: OSError) -> str:
    name = "" if error.filename is None else f"{printable(str(error.filename))}: "
    return f"{name}{error.strerror or error}"

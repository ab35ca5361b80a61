"""The command line's commands, and how errors become exit statuses.

Commands are imported when they are run, so that `photoanimer --help` is quick.
"""

import sys
import warnings
from collections.abc import Sequence

from attrs import frozen
from cyclopts import App, CycloptsError

import photoanimer_async
from photoanimer_async.cli.error_texts import error_text
from photoanimer_async.cli.exit_status import ExitStatus, UsageError
from photoanimer_async.cli.standard_streams import STANDARD_INPUT
from photoanimer_async.errors import ApiError, InvalidRequestError, PhotoAnimerError


@frozen
class _Command:
    """A command. Its name is also that of its module, and of the function in it.

    One with subcommands is an `App` called `app` in its module.
    """

    name: str
    arguments: str
    help: str
    has_subcommands: bool = False


_EXIT_STATUS = """
The exit status is 0 if all are done, 1 if some failed, 2 for wrong use, 130 after Ctrl-C."""

_COMMANDS = (
    _Command(
        "demo",
        "",
        """Animate two sample portraits on this machine: no account, no internet.

It makes twelve videos: both portraits with all six templates. The videos of an earlier demo in
the same folder are replaced.""",
    ),
    _Command(
        "animate",
        "PHOTO... ",
        f"""Animate photos: URLs, files, folders, patterns, lists and manifests.

Each photo gives a video that is named after it; files are never overwritten. A photo that
fails does not stop the others; a summary at the end says which failed, and why. Files are
prepared for the service: turned upright, converted to JPEG where needed, reduced to the limits,
and stripped of metadata. `--dry-run` shows what would be sent, and what it costs, and sends
nothing.

A manifest lists photos with options of their own. It is CSV with a header line, or JSON Lines:

    photo,template,format,voice_url,voice_seconds,name
    anna.heic,3,gif,,,Anna laughs

Names of files are relative to the manifest's folder; where a field is empty, the options of the
command apply.

What was paid for is recorded in a journal beside the results. After Ctrl-C, a crash, or a
balance that was used up, the same command continues the batch, and so does `photoanimer
resume`; nothing is paid for twice. Ctrl-C waits for the answers to submits that are being sent;
a second Ctrl-C exits at once.
{_EXIT_STATUS}""",
    ),
    _Command(
        "resume",
        "JOURNAL ",
        f"""Continue a batch that was stopped or killed.

Photos that were not submitted are submitted, submitted tasks are waited for, and results that
were not saved are downloaded. Photos that failed are paid for again only with --retry-failed.
Photos that may have been charged are listed, and submitted again only within the video seconds
of --resubmit-ambiguous; those that the service is known to have accepted never are.
{_EXIT_STATUS}""",
    ),
    _Command(
        "status",
        "JOURNAL ",
        """Show the state of a batch, what it has cost, and what is unclear.

The batch may be running.""",
    ),
    _Command(
        "estimate",
        "PHOTO... ",
        """Show what animating photos will cost; nothing is sent.

A video costs 3.13, 7.13, 2.13, 6.75, 4.38 or 3.75 video seconds with template 0 to 5. The price
of a voice is not documented; it is assumed to be its length.""",
    ),
    _Command(
        "wait",
        "TASK_ID... ",
        f"""Wait for tasks by their ids, and download their results.

This costs nothing: tasks are paid for when they are submitted. Each result is named after its
task; files are never overwritten.
{_EXIT_STATUS}""",
    ),
    _Command(
        "balance",
        "",
        """Show the account's balance.

A video costs 3.13, 7.13, 2.13, 6.75, 4.38 or 3.75 video seconds with template 0 to 5.""",
    ),
    _Command(
        "serve",
        "",
        """Run a local service that has the same API and really animates.

It runs until Ctrl-C, SIGTERM or SIGHUP. Unfinished tasks continue when it is started with the same
folder again. Without any key it is open to everyone on this machine, and to nobody else;
`photoanimer serve keys add NAME` creates a key.""",
        has_subcommands=True,
    ),
    _Command(
        "studio",
        "",
        """Open a page in the browser to animate photos with.

Without an API key, or with --local, photos are animated on this machine: no account, no
internet. It runs until Ctrl-C, SIGTERM or SIGHUP; unfinished photos continue when it is started
with the same folder again, and nothing is paid for twice.""",
    ),
)


def build_app() -> App:
    """Return the command line with all its commands."""
    app = App(
        name="photoanimer",
        help="Turn face photos into moving videos. Start with: photoanimer demo",
        help_format="plaintext",  # to read Markdown takes a quarter of the time of `--help`
        version=photoanimer_async.__version__,
        suppress_keyboard_interrupt=False,
        usage="Usage: photoanimer COMMAND [OPTIONS]",
    )
    for place, command in enumerate(_COMMANDS):
        module = f"photoanimer_async.cli.{command.name}"
        target = f"{module}:{'app' if command.has_subcommands else command.name}"
        usage = f"Usage: photoanimer {command.name} {command.arguments}[OPTIONS]"
        # An `App` has a usage and a format of its own.
        own = {} if command.has_subcommands else {"usage": usage, "help_format": "markdown"}
        app.command(target, name=command.name, help=command.help, sort_key=place, **own)
    app.register_install_completion_command(
        help="Install completion of commands, options and templates for bash, zsh or fish."
    )
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Errors become one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Pillow warns of odd metadata in photos, which users cannot change.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        status = build_app()(
            # Cyclopts takes `-` for an option without a name.
            [STANDARD_INPUT if argument == "-" else argument for argument in arguments],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (CycloptsError, UsageError, PhotoAnimerError, OSError) as error:
        sys.stderr.write(f"photoanimer: {error_text(error)}\n")
        return _status(error)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return ExitStatus(status or ExitStatus.DONE)


def _status(error: Exception) -> ExitStatus:
    is_ours = isinstance(error, InvalidRequestError) and not isinstance(error, ApiError)
    is_wrong_use = is_ours or isinstance(error, CycloptsError | UsageError)
    return ExitStatus.WRONG_USE if is_wrong_use else ExitStatus.FAILED

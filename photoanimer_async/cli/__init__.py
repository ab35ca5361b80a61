"""The command line, `photoanimer`."""

import sys

from photoanimer_async.cli.standard_streams import make_standard_streams_lasting

_NEEDS = ("cyclopts", "rich")


def main() -> None:
    """Run the command line of this process, and exit with its status."""
    make_standard_streams_lasting()
    try:
        from photoanimer_async.cli.commands import run  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if error.name not in _NEEDS:
            raise
        sys.exit(
            f"photoanimer: the command line needs {' and '.join(_NEEDS)}: "
            "pip install 'photoanimer-async[cli]'"
        )
    sys.exit(run(sys.argv[1:]))

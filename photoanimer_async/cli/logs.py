"""What of the logs a person at the command line sees."""

import logging
import sys
from enum import Enum

from photoanimer_async.cli.json_lines import JsonLines

_PACKAGE = "photoanimer_async"


class _StandardError(logging.Handler):
    """Writes to what standard error is at the time: a live display may stand before it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)  # noqa: T201 - its purpose


class _OneLine(logging.Formatter):
    """One line for each record; of a traceback, the last line."""

    def format(self, record: logging.LogRecord) -> str:
        line = record.getMessage()
        if record.exc_info:
            line += f": {str(record.exc_info[1]).strip().rpartition(chr(10))[2]}"
        return f"{record.levelname.lower()}: {line}"


def show_warnings() -> None:
    """Warnings in one line each, for commands whose output is something else."""
    _show(_OneLine(), logging.WARNING)


class LogFormat(Enum):
    """What the log of a service looks like."""

    TEXT = "text"
    JSON = "json"


def show_everything(log_format: LogFormat) -> None:
    """What happens, with times and tracebacks: the log of a service."""
    match log_format:
        case LogFormat.TEXT:
            formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
        case LogFormat.JSON:
            formatter = JsonLines()
    _show(formatter, logging.INFO)


def _show(formatter: logging.Formatter, level: int) -> None:
    handler = _StandardError()
    handler.setFormatter(formatter)
    logger = logging.getLogger(_PACKAGE)
    logger.addHandler(handler)
    logger.setLevel(level)

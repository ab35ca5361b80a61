"""Log to standard error: warnings in one line each, or a service's whole log as text or JSON."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Final

_PACKAGE: Final = "photoanimer_async"
_PAIR: Final = re.compile(r"([a-z_]+)=(%[a-z]|[^\s%]+)")
_PAIRS: Final = re.compile(rf"{_PAIR.pattern}(?: {_PAIR.pattern})*")


class LogFormat(Enum):
    """The format of a service's log."""

    TEXT = "text"
    JSON = "json"


def log_warnings() -> None:
    """Log warnings and errors, for commands whose output is something else."""
    _add_handler(OneLine(), logging.WARNING)


def log_everything(log_format: LogFormat) -> None:
    """Log every event with its time and traceback, for a service."""
    match log_format:
        case LogFormat.TEXT:
            formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
        case LogFormat.JSON:
            formatter = JsonLines()
    _add_handler(formatter, logging.INFO)


def _add_handler(formatter: logging.Formatter, level: int) -> None:
    handler = _StandardError()
    handler.setFormatter(formatter)
    logger = logging.getLogger(_PACKAGE)
    logger.addHandler(handler)
    logger.setLevel(level)


class _StandardError(logging.Handler):
    """Writes to the current `sys.stderr`, which a live display replaces while it runs."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)  # noqa: T201 - its purpose


class OneLine(logging.Formatter):
    """One line for each record, with the last line of its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        line = record.getMessage()
        if record.exc_info:
            kind, error, _ = record.exc_info
            why = str(error).strip().rpartition(chr(10))[2]
            line += f": {why or getattr(kind, '__name__', '')}"
        return f"{record.levelname.lower()}: {line}"


class JsonLines(logging.Formatter):
    """One JSON object for each record: `time` (UTC), `level`, `logger`, and the event's fields.

    The service logs `name=value` pairs, as in `"task=%d event=failed code=%s"`. Names are taken
    from the record's format and values from its arguments, so that values keep their types. A
    record without such pairs has a `message`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    template, args = str(record.msg), record.args
    if not isinstance(args, tuple) or not _PAIRS.fullmatch(template):
        return {"message": record.getMessage()}
    values = iter(args)
    return {
        name: next(values) if value.startswith("%") else value
        for name, value in _PAIR.findall(template)
    }

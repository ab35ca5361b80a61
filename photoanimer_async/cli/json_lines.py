"""Logs for programs: each record as one line with one JSON object.

The service writes `name=value` pairs, as in `"task=%d event=failed code=%s"`. The names are in a
record's format and the values in its arguments, so that they are taken from there, with their
types, and nothing has to be read back out of a text.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_PAIR: Final = re.compile(r"([a-z_]+)=(%[a-z]|[^\s%]+)")
_PAIRS: Final = re.compile(rf"{_PAIR.pattern}(?: {_PAIR.pattern})*")


class JsonLines(logging.Formatter):
    """`time` (UTC), `level`, `logger`, and what the record says: pairs, or a `message`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_said(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _said(record: logging.LogRecord) -> Mapping[str, object]:
    template, args = str(record.msg), record.args
    if not isinstance(args, tuple) or not _PAIRS.fullmatch(template):
        return {"message": record.getMessage()}
    values = iter(args)
    return {
        name: next(values) if value.startswith("%") else value
        for name, value in _PAIR.findall(template)
    }

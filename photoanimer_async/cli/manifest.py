"""Read a manifest: a list of photos with options of their own, as CSV or JSON Lines.

Columns are `photo` (a URL, or a file relative to the manifest's folder), `template`, `format`,
`voice_url`, `voice_seconds` and `name` (of the result). All but the first may be missing or
empty, and then the batch's own options apply. Errors name their line and column, and are raised
before anything is sent.
"""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.template_names import TEMPLATES
from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.models import AnimationOptions, AnimationRequest, OutputFormat
from photoanimer_async.redaction import is_url, printable, without_queries

COLUMNS = ("photo", "template", "format", "voice_url", "voice_seconds", "name")

_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_RESULT_SUFFIXES = (".mp4", ".gif")
_DELIMITERS = ",;\t"
_MOST_ERRORS = 10

_Row: TypeAlias = Mapping[str, object]


@frozen(kw_only=True)
class RowDefaults:
    """The options of a photo, where its row in the manifest gives none.

    Attributes:
        template: `None` for 1, or for 0 with a voice.
        output_format: `mp4` or `gif`.
        voice_url: URL of a sound.
        voice_seconds: length of that sound.
    """

    template: int | None = None
    output_format: OutputFormat = OutputFormat.MP4
    voice_url: str | None = field(default=None, repr=False)
    voice_seconds: float | None = None

    def options(self) -> AnimationOptions:
        """Return the options of a photo without a row.

        Raises:
            InvalidRequestError: options that exclude each other.
        """
        template = self.template
        if template is None:
            template = 1 if self.voice_url is None else 0
        return AnimationOptions(
            template=template,
            output_format=self.output_format,
            voice_url=self.voice_url,
            voice_seconds=self.voice_seconds,
        )


class _RowError(Exception):
    """What is wrong with a row; the text follows the row's line number."""


def read_manifest(path: Path, defaults: RowDefaults) -> list[AnimationRequest]:
    """Return the photos of a manifest, each with its options.

    Args:
        path: a file `*.csv`, `*.jsonl` or `*.ndjson`, in UTF-8.
        defaults: the options where a row gives none.

    Raises:
        UsageError: the file cannot be read, or has errors; the text names up to ten of them.
    """
    name = printable(str(path))
    requests: list[AnimationRequest] = []
    errors: list[str] = []
    for line, row in _rows(path, name):
        try:
            if isinstance(row, _RowError):
                raise row
            requests.append(_request(row, path.parent, defaults))
        except _RowError as error:
            errors.append(f"{name} line {line}, {error}")
    if errors:
        more = len(errors) - _MOST_ERRORS
        raise UsageError("\n".join(errors[:_MOST_ERRORS] + [f"and {more} more"] * (more > 0)))
    if not requests:
        raise UsageError(f"{name}: lists no photo")
    return requests


# --- from the file to rows ---


def _rows(path: Path, name: str) -> Iterator[tuple[int, _Row | _RowError]]:
    """Return each row, or its error, with the line on which it begins."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", *_JSON_SUFFIXES}:
        raise UsageError(f"--manifest: {name} is neither *.csv nor *.jsonl (or *.ndjson)")
    try:
        # Names of files may have another encoding than the rest.
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UsageError(f"--manifest: {name} cannot be read: {error.strerror}") from None
    return _json_rows(text) if suffix in _JSON_SUFFIXES else _csv_rows(text)


def _json_rows(text: str) -> Iterator[tuple[int, _Row | _RowError]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _json_row(line)


def _json_row(line: str) -> _Row | _RowError:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return _RowError(f"column {error.colno}: is not JSON ({error.msg})")
    except (ValueError, RecursionError):
        return _RowError("JSON is nested too deeply, or a number has too many digits")
    if not isinstance(row, dict):
        return _RowError(f"found {_shown(row)}; allowed is an object with {_one_of(COLUMNS)}")
    unknown = [column for column in row if column not in COLUMNS]
    return _unknown_column(unknown[0]) if unknown else row


def _csv_rows(text: str) -> Iterator[tuple[int, _Row | _RowError]]:
    header = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count), strict=True
    )
    columns: list[str] | None = None
    next_line = 1
    try:
        for cells in reader:
            line, next_line = next_line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [cell.strip().lower() for cell in cells]
                error = _header_error(columns)
                if error is not None:
                    yield line, error
                    return
            elif len(cells) > len(columns):
                yield line, _RowError(f"found {len(cells)} fields; the header has {len(columns)}")
            else:
                yield line, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        yield next_line, _RowError(f"is not CSV ({error})")


def _header_error(columns: Sequence[str]) -> _RowError | None:
    for place, column in enumerate(columns):
        if column not in COLUMNS:
            return _unknown_column(column)
        if column in columns[:place]:
            return _RowError(f"column {column}: appears twice")
    return None if "photo" in columns else _RowError("column photo: is missing")


def _unknown_column(column: str) -> _RowError:
    return _RowError(f"column {_shown(column)}: is unknown; allowed are {_one_of(COLUMNS)}")


# --- from rows to requests ---


def _request(row: _Row, folder: Path, defaults: RowDefaults) -> AnimationRequest:
    photo = _text(row, "photo")
    if photo is None:
        raise _RowError("column photo: is empty; allowed are a URL and the name of a file")
    if is_url(photo) and not _is_unicode(photo):
        raise _value_error("photo", photo, "a URL in UTF-8")
    own = RowDefaults(
        template=_template(row, defaults.template),
        output_format=_format(row, defaults.output_format),
        voice_url=_voice_url(row, defaults.voice_url),
        voice_seconds=_voice_seconds(row, defaults.voice_seconds),
    )
    try:
        options = own.options()
    except InvalidRequestError as error:
        raise _RowError(f"column voice_url: {error}") from None
    return AnimationRequest(photo if is_url(photo) else folder / photo, options, _name(row))


def _text(row: _Row, column: str) -> str | None:
    """Return the text of a cell; `None` if it is empty."""
    value = row.get(column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _value_error(column, value, "text")
    return value.strip() or None


def _number(row: _Row, column: str) -> object:
    """Return a cell, which in CSV is text; `None` if it is empty."""
    value = row.get(column)
    return (value.strip() or None) if isinstance(value, str) else value


def _template(row: _Row, default: int | None) -> int | None:
    value = _number(row, "template")
    if value is None:
        return default
    name = str(value).lower()
    if isinstance(value, bool) or name not in TEMPLATES:
        raise _value_error("template", value, _one_of(TEMPLATES))
    return TEMPLATES[name]


def _format(row: _Row, default: OutputFormat) -> OutputFormat:
    value = _text(row, "format")
    if value is None:
        return default
    if value.lower() not in {*OutputFormat}:
        raise _value_error("format", value, _one_of(OutputFormat))
    return OutputFormat(value.lower())


def _voice_url(row: _Row, default: str | None) -> str | None:
    value = _text(row, "voice_url")
    if value is not None and not (is_url(value) and _is_unicode(value)):
        raise _value_error("voice_url", value, "an http or https URL")
    return value or default


def _voice_seconds(row: _Row, default: float | None) -> float | None:
    value = _number(row, "voice_seconds")
    if value is None:
        return default
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not 0 < seconds < math.inf:
        raise _value_error("voice_seconds", value, "a number above 0")
    return seconds


def _name(row: _Row) -> str | None:
    value = _text(row, "name")
    if value is None:
        return None
    if not _is_unicode(value):
        raise _value_error("name", value, "text in UTF-8")
    stem, suffix = os.path.splitext(value)  # noqa: PTH122 - a name, not a path
    return stem if stem and suffix.lower() in _RESULT_SUFFIXES else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value_error(column: str, found: object, allowed: str) -> _RowError:
    return _RowError(f"column {column}: found {_shown(found)}; allowed: {allowed}")


def _shown(value: object) -> str:
    return printable(without_queries(repr(value)))


def _one_of(values: Iterable[str]) -> str:
    return ", ".join(values)

"""Read JSON into typed classes with cattrs, and name the path of a wrong value.

cattrs itself converts where it can (`True` becomes 1, 5 becomes "5"). The types defined here accept
only the JSON types that the API page or a known compatible service uses.
"""

import json
from functools import cache
from typing import NewType, TypeVar

import cattrs

from photoanimer_async.redaction import encodable, is_url, printable, safe_text, shown_url

_T = TypeVar("_T")

_MAX_ID_CHARACTERS = 256
_MAX_NUMBER: int = 10**_MAX_ID_CHARACTERS

Number = NewType("Number", int)
"""A whole number, or its decimal digits as a string."""
Text = NewType("Text", str)
"""A string."""
Link = NewType("Link", str)
"""An http(s) URL, or an empty string."""
Id = NewType("Id", object)
"""A task id: a whole number or a string that is not empty; see `is_task_id`."""


class FieldError(Exception):
    """A JSON value has the wrong type; the text ends with its path, such as `@ $.data.status`."""


def as_json(text: str) -> object:
    """Return the JSON value at the start of a text; `None` if there is none.

    Raw control characters in strings, and text after the value, are tolerated.
    """
    try:
        value: object = _decoder.raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None
    return value


_decoder = json.JSONDecoder(strict=False)


def structure(value: object, kind: type[_T], path: str) -> _T:
    """Return a JSON value as an instance of a class.

    Args:
        value: the value, from `json.loads`.
        kind: an attrs class, or one of the types of this module.
        path: the JSON path of the value, such as `$.data`.

    Raises:
        FieldError: a field is missing or has another type.
    """
    try:
        found: _T = _fast_converter.get_structure_hook(kind)(value, kind)
    except Exception:  # noqa: BLE001 - cattrs passes on whatever a hook raises
        return _structure_naming_faults(value, kind, path)
    return found


def _structure_naming_faults(value: object, kind: type[_T], path: str) -> _T:
    try:
        return _detailed_converter().structure(value, kind)
    except Exception as error:  # noqa: BLE001 - as above
        faults = cattrs.transform_error(error, path, _describe_fault)
    raise FieldError("; ".join(faults)) from None


def encodable_json(value: object) -> object:
    """Return a value from `json.loads` with every string in it as `redaction.encodable` returns it.

    Raises:
        RecursionError: it is nested too deeply.
    """
    match value:
        case str():
            return encodable(value)
        case list():
            return [encodable_json(item) for item in value]
        case dict():
            return {encodable(name): encodable_json(item) for name, item in value.items()}
        case _:
            return value


def is_task_id(value: object) -> bool:
    """Return whether a value can be a task id: a number, or up to 256 printable characters."""
    if type(value) is int:
        return -_MAX_NUMBER < value < _MAX_NUMBER
    if isinstance(value, str):
        # U+FFFD stands for a character that was lost: the service knows no such id.
        is_whole = value.isprintable() and "\ufffd" not in value
        return is_whole and 0 < len(value) <= _MAX_ID_CHARACTERS
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER


def _describe_fault(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    return str(error) or type(error).__name__


def _to_number(value: object, _: object) -> int:
    if type(value) is not int and isinstance(value, str) and value.removeprefix("-").isdecimal():
        value = int(value)
    if type(value) is int and -_MAX_NUMBER < value < _MAX_NUMBER:
        return value
    raise TypeError(f"expected a whole number, not {printable(repr(value))}")


def _to_text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {printable(repr(value))}")
    return safe_text(value)


def _to_optional_link(value: object, _: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
    if isinstance(value, str) and (not value or is_url(value)):
        return value
    shown = shown_url(value) if isinstance(value, str) else repr(value)
    raise TypeError(f"expected an http or https URL, not {printable(shown)}")


def _to_id(value: object, _: object) -> object:
    if not is_task_id(value):
        raise TypeError(f"expected a task id (number or string), not {printable(repr(value))}")
    return value


def _to_optional_id(value: object, kind: object) -> object:
    return None if value is None else _to_id(value, kind)


def _converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(Number, _to_number)
    converter.register_structure_hook(Text, _to_text)
    converter.register_structure_hook(Id, _to_id)
    # One hook for the optional type: cattrs' own handling of `None` costs one more call.
    converter.register_structure_hook(Link | None, _to_optional_link)
    converter.register_structure_hook(Id | None, _to_optional_id)
    return converter


_fast_converter = _converter(detailed=False)


@cache
def _detailed_converter() -> cattrs.Converter:
    """The converter that collects the path of each fault; it takes twice as long."""
    return _converter(detailed=True)

"""Where results go: a folder, or a part of an object store."""

import os
from pathlib import Path

from photoanimer_async.models import Location
from photoanimer_async.storage.object_store import object_url
from photoanimer_async.storage.result_bucket import ResultBucket
from photoanimer_async.storage.result_folder import FileDestination, ResultFolder
from photoanimer_async.storage.result_store import Destination, ResultStore

__all__ = [
    "Destination",
    "FileDestination",
    "ResultBucket",
    "ResultFolder",
    "ResultStore",
    "place_of",
    "result_store",
]


def place_of(save_to: str | os.PathLike[str]) -> Location:
    """What the user named: a folder, or the URL of a part of an object store.

    Raises:
        InvalidRequestError: a URL that is none of an object store, or not a plain one.
    """
    name = os.fspath(save_to)
    return object_url(name, "save_to") if _has_scheme(name) else Path(save_to)


def result_store(place: Location) -> ResultStore:
    """The store in this place.

    Raises:
        InvalidRequestError: as `place_of`; or the extra `object-store` is not installed.
    """
    match place:
        case Path():
            return ResultFolder(place)
        case str():
            return ResultBucket(place)


def _has_scheme(name: str) -> bool:
    """Whether it is meant as a URL; a `Path` of one has lost a slash."""
    scheme, colon, rest = name.partition(":")
    return bool(colon) and scheme.isalnum() and rest.startswith("/") and len(scheme) > 1

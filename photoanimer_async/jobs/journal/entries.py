"""The values that are written to a journal and read from it."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from attrs import define, field, frozen

from photoanimer_async.errors import JournalError
from photoanimer_async.jobs.budget import price
from photoanimer_async.jobs.lifecycle import Event, State
from photoanimer_async.models import (
    AnimationOptions,
    AnimationRequest,
    Evidence,
    Location,
    Photo,
    TaskId,
    Template,
)
from photoanimer_async.redaction import encodable, is_url, safe_text

Recipient: TypeAlias = "asyncio.Future[Any] | Callable[[BaseException], None] | None"

Column = str | int | float | bytes | None
"""What SQLite stores."""


@define
class Entry:
    """The record of one photo.

    Attributes:
        id: its number in the journal.
        request: the photo, and how to animate it. The content of a photo that was passed in
            as bytes is not kept: it is empty here, and `has_photo` is false.
        state: how far it is.
        cost: video seconds that one submit of it costs.
        folder: the folder or part of an object store for its result; `None` if it is not to
            be downloaded.
        task_id: its task, once accepted.
        image_url: the URL of the last submit.
        submitted_at: the time of the last submit, in seconds since the epoch.
        evidence: whether the service fetched the photo of a submit whose answer was lost.
        seconds: from the submit to the end of the task.
        destination: the file or object that was reserved for its result.
        path: the file or object that its result was saved as.
        error: why it failed, or is ambiguous.
        has_photo: whether `request.photo` can be submitted.
    """

    id: int
    request: AnimationRequest
    state: State
    cost: float
    folder: Location | None = None
    task_id: TaskId | None = None
    image_url: str | None = field(default=None, repr=False)
    submitted_at: float | None = None
    evidence: Evidence = Evidence.NONE
    seconds: float | None = None
    destination: Location | None = None
    path: Location | None = None
    error: str | None = None
    has_photo: bool = True

    def has_result(self) -> bool:
        """Return whether the result is where it was saved. Blocking; objects are not looked for."""
        if self.path is None:
            return False
        try:
            return isinstance(self.path, str) or self.path.stat().st_size > 0
        except OSError:
            return False


@define
class Facts:
    """What is recorded with an event; `None` leaves a column unchanged.

    Image hosts and errors of foreign code may have any text: it is made safe as it is stored.
    """

    task_id: TaskId | None = None
    image_url: str | None = field(default=None, repr=False)
    submitted_at: float | None = None
    evidence: Evidence | None = None
    seconds: float | None = None
    destination: Location | None = None
    path: Location | None = None
    error: str | None = None

    def columns(self) -> dict[str, Column]:
        """Return the columns that change, by name."""
        changes: dict[str, Column] = {}
        if self.task_id is not None:
            changes["task_id"] = _stored_id(self.task_id)
        if self.image_url is not None:
            changes["image_url"] = encodable(self.image_url)
        if self.submitted_at is not None:
            changes["submitted_at"] = self.submitted_at
        if self.evidence is not None:
            changes["evidence"] = self.evidence.value
        if self.seconds is not None:
            changes["seconds"] = self.seconds
        if self.destination is not None:
            changes["destination"] = _stored(self.destination)
        if self.path is not None:
            changes["path"] = _stored(self.path)
        if self.error is not None:
            changes["error"] = safe_text(self.error)
        return changes


NOTHING = Facts()


@define
class Record:
    """An event of one photo, to be written.

    Attributes:
        number: the entry.
        state: its state before the event.
        event: what happened.
        facts: what to store with it.
        recipient: the future that is done when it is on disk, or what is called in the loop with
            the reason if it could not be written.
    """

    number: int
    state: State
    event: Event
    facts: Facts = NOTHING
    recipient: Recipient = field(default=None, repr=False)


class RefusedStepError(JournalError):
    """A record does not fit the state of its entry, or cannot be stored; nothing was changed.

    The fault is the record's: the journal itself can be used.
    """


@define
class NewEntry:
    """A photo that is new to the journal, to be written.

    Attributes:
        number: its entry's number.
        digest: of the photo.
        request: the photo, and how to animate it.
        folder: see `Entry`.
    """

    number: int
    digest: bytes
    request: AnimationRequest
    folder: Location | None


@frozen
class Summary:
    """Totals of a journal.

    Attributes:
        counts: photos by state; states without photos are left out.
        spent: video seconds of all accepted submits.
        at_risk: video seconds of submits that may have been accepted.
        planned: video seconds of photos that have not been submitted.
    """

    counts: Mapping[State, int]
    spent: float
    at_risk: float
    planned: float

    @property
    def photos(self) -> int:
        """The number of photos."""
        return sum(self.counts.values())


def key_of(digest: bytes, options: AnimationOptions) -> bytes:
    """Return what identifies a request: a hash of the photo's digest and of the options."""
    return key_from(digest, key_part(options))


def key_from(digest: bytes, how: bytes) -> bytes:
    """Return the key of a photo's digest and of what `key_part` has returned."""
    return hashlib.sha256(digest + how).digest()[:16]


def key_part(options: AnimationOptions) -> bytes:
    """Return what options add to a request's key."""
    how = f"{options.template:d}\0{options.output_format}\0".encode()
    voice = options.voice_url or "" if options.voice is None else _path_bytes(options.voice)
    return how + (voice.encode() if isinstance(voice, str) else b"file\0" + voice)


PHOTO_COLUMNS = ("kind", "source", "name", "folder")
OPTION_COLUMNS = ("template", "output_format", "voice_url", "voice_seconds", "cost")


def photo_values(request: AnimationRequest, folder: Location | None) -> tuple[Column, ...]:
    """Return what `PHOTO_COLUMNS` hold of a request."""
    stored = None if folder is None else _stored(folder)
    return (*_source(request.photo), request.name, stored)


def option_values(options: AnimationOptions) -> tuple[Column, ...]:
    """Return what `OPTION_COLUMNS` hold of a request's options."""
    return (
        int(options.template),
        str(options.output_format),
        options.voice_url if options.voice is None else _path_bytes(options.voice),
        options.voice_seconds,
        price(options),
    )


def entry_of(row: Mapping[str, Any]) -> Entry:
    """Return a row as an entry."""
    voice = row["voice_url"]
    options = AnimationOptions(
        template=row["template"],
        output_format=row["output_format"],
        voice_url=voice if isinstance(voice, str) else None,
        voice_seconds=row["voice_seconds"],
        voice=Path(os.fsdecode(voice)) if isinstance(voice, bytes) else None,
        seconds=row["cost"] if row["template"] > max(Template) else None,
    )
    photo = photo_of(row["kind"], row["source"])
    return Entry(
        id=row["id"],
        request=AnimationRequest(photo, options, row["name"]),
        state=State(row["state"]),
        cost=row["cost"],
        folder=_location(row["folder"]),
        task_id=None if row["task_id"] is None else json.loads(row["task_id"]),
        image_url=row["image_url"] or _own_url(photo, row["submitted_at"]),
        submitted_at=row["submitted_at"],
        evidence=Evidence(row["evidence"]),
        seconds=row["seconds"],
        destination=_location(row["destination"]),
        path=_location(row["path"]),
        error=None if row["error"] is None else safe_text(row["error"]),
        has_photo=photo != b"",
    )


def _source(photo: Photo) -> tuple[str, bytes | None]:
    if isinstance(photo, bytes):
        return "content", None
    if isinstance(photo, str) and is_url(photo):
        return "url", photo.encode()
    return "file", _path_bytes(photo)


def _path_bytes(path: str | os.PathLike[str]) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - resolves `..` too


def photo_of(kind: str, source: bytes | None) -> Photo:
    """Return the photo of a row; empty for content, which is not kept."""
    match kind:
        case "url" if source is not None:
            return source.decode()
        case "file" if source is not None:
            return Path(os.fsdecode(source))
        case _:
            return b""


def _own_url(photo: Photo, submitted_at: float | None) -> str | None:
    """Return the submitted URL of a photo that is a URL, which is not stored twice."""
    return photo if isinstance(photo, str) and submitted_at is not None else None


def _stored_id(task_id: TaskId) -> str:
    """Return a task id as JSON, which tells numbers from strings."""
    return str(task_id) if type(task_id) is int else json.dumps(task_id)


def _stored(location: Location) -> bytes:
    """Return a location as bytes: an absolute path begins with a slash, a URL does not."""
    return location.encode() if isinstance(location, str) else os.fsencode(location.absolute())


def _location(value: bytes | None) -> Location | None:
    if value is None:
        return None
    return Path(os.fsdecode(value)) if value.startswith(b"/") else value.decode()

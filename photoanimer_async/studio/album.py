"""The album: photos, the clips made of them, and a voice for the next clips.

A photo's id is derived from its content or URL, a clip's from its photo, expression and voice.
The same thing is therefore never in the album twice, and starting a clip that is finished or in
progress starts nothing.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from photoanimer_async import TaskId, Template
from photoanimer_async.studio.studio_errors import MissingError

Change: TypeAlias = tuple[str, str]
"""Kind and id of an item that was added, replaced or removed."""


@frozen(kw_only=True)
class Photograph:
    """A photo that was added.

    Attributes:
        id: derived from its content or URL.
        name: shown on the page.
        added: seconds since the epoch; photos are shown in this order.
        file: file name in the photos folder; `None` if the photo was refused.
        url: the link it was added by, if any.
        refusal: why it cannot be animated.
        faces: the number of faces in it; `None` if they were not searched for.
        waiting: whether it is selected for the next clips.
    """

    id: str
    name: str
    added: float
    file: str | None = None
    url: str | None = field(default=None, repr=False)
    refusal: str | None = None
    faces: int | None = None
    waiting: bool = True


@frozen(kw_only=True)
class Voice:
    """A sound file that the mouth follows in the "Talking" expression.

    Attributes:
        id: derived from its content.
        name: shown on the page.
        file: file name in the voices folder.
        seconds: duration, if known.
    """

    id: str
    name: str
    file: str
    seconds: float | None = None


class Stage(StrEnum):
    """Progress of a clip."""

    WAITING = "waiting"
    SENDING = "sending"
    MOVING = "moving"
    SAVING = "saving"
    DONE = "done"
    FAILED = "failed"
    UNCLEAR = "unclear"
    """The submit was sent and its response was lost: it may have been charged."""

    @property
    def ended(self) -> bool:
        """Whether the clip stays in this stage unless it is retried."""
        return self in {Stage.DONE, Stage.FAILED, Stage.UNCLEAR}


@frozen(kw_only=True)
class Clip:
    """A video of a photo with an expression, finished or in progress.

    Attributes:
        id: see `derive_clip_id`.
        photograph: id of the photo.
        template: the expression.
        voice: the voice that it speaks with, if any.
        everyone: whether all faces move, not only the largest.
        cost: video seconds.
        batch: the batch whose journal has its record.
        added: when it was last started, in seconds since the epoch.
        ended: when it was done or failed, in seconds since the epoch.
        stage: its progress.
        task: its task, which is paid for and has not failed, until its video is here.
        stopping: whether its task is being cancelled.
        video: file name in the videos folder, once it is done.
        error: why it failed, or that its result is unknown.
        repeatable: whether it may be retried.
    """

    id: str
    photograph: str
    template: Template
    cost: float
    batch: str
    added: float
    voice: Voice | None = None
    everyone: bool = False
    ended: float = 0.0
    stage: Stage = Stage.WAITING
    task: TaskId | None = None
    stopping: bool = False
    video: str | None = None
    error: str | None = None
    repeatable: bool = True


def derive_clip_id(
    photo_id: str, template: Template, voice: Voice | None, *, everyone: bool = False
) -> str:
    """Return the id of a clip: the same input gives the same id."""
    source = f"{photo_id} {template.value} {voice.id if voice else ''}{' everyone' * everyone}"
    return hashlib.sha256(source.encode()).hexdigest()[:24]


class ChangeListener:
    """A subscription to the changes of an album; created by `ChangeFeed.subscribe`.

    It keeps the kinds and ids of changed items, not their content, each once. A slow page
    therefore needs little memory and always receives the latest state.
    """

    def __init__(self) -> None:
        self._changes: dict[Change, None] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def add(self, change: Change) -> None:
        """Record a change for the next call of `next_changes`."""
        self._changes[change] = None
        self._wake.set()

    def close(self) -> None:
        """Let `next_changes` return `None` from now on."""
        self._closed = True
        self._wake.set()

    async def next_changes(self, timeout: float) -> Sequence[Change] | None:
        """Wait for changes since the last call.

        Args:
            timeout: seconds to wait.

        Returns:
            The changes; empty after the timeout, `None` when the feed is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return ()
        if self._closed:
            return None
        self._wake.clear()
        changes, self._changes = self._changes, {}
        return list(changes)


class ChangeFeed:
    """A broadcast of the album's changes to every open page."""

    def __init__(self) -> None:
        self._listeners: set[ChangeListener] = set()
        self._closed = False

    def publish(self, kind: str, item_id: str = "") -> None:
        """Record for all listeners that an item was added, replaced or removed."""
        for listener in self._listeners:
            listener.add((kind, item_id))

    def close(self) -> None:
        """End all subscriptions, present and future."""
        self._closed = True
        for listener in self._listeners:
            listener.close()

    @contextmanager
    def subscribe(self) -> Iterator[ChangeListener]:
        """Subscribe until the block ends."""
        listener = ChangeListener()
        if self._closed:
            listener.close()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


@define
class Album:
    """All photos, clips and the voice. Each change is published to the feed.

    Attributes:
        photographs: by id, in the order of arrival.
        clips: by id, in the order in which they were first started.
        voice: for the next clips.
        feed: receives every change.
    """

    photographs: dict[str, Photograph] = field(factory=dict)
    clips: dict[str, Clip] = field(factory=dict)
    voice: Voice | None = None
    feed: ChangeFeed = field(factory=ChangeFeed, eq=False, repr=False)

    def photograph(self, photo_id: str) -> Photograph:
        """Return a photo.

        Raises:
            MissingError: it does not exist.
        """
        try:
            return self.photographs[photo_id]
        except KeyError:
            raise MissingError("The photo is no longer in the album.") from None

    def clip(self, clip_id: str) -> Clip:
        """Return a clip.

        Raises:
            MissingError: it does not exist.
        """
        try:
            return self.clips[clip_id]
        except KeyError:
            raise MissingError("The clip is no longer in the album.") from None

    def put(self, *items: Photograph | Clip) -> None:
        """Add items, or replace those with the same id."""
        for item in items:
            if isinstance(item, Clip):
                self.clips[item.id] = item
                self.feed.publish("clip", item.id)
            else:
                self.photographs[item.id] = item
                self.feed.publish("photo", item.id)

    def advance(self, clip_id: str, stage: Stage, task: TaskId | None) -> None:
        """Set a clip's stage and its task, unless it has ended or was removed."""
        clip = self.clips.get(clip_id)
        if clip is not None and not clip.stage.ended and (clip.stage, clip.task) != (stage, task):
            self.put(evolve(clip, stage=stage, task=task))

    def set_voice(self, voice: Voice | None) -> None:
        """Set or clear the voice for the next clips."""
        self.voice = voice
        self.feed.publish("voice")

    def remove_photograph(self, photo_id: str) -> None:
        """Remove a photo."""
        del self.photographs[photo_id]
        self.feed.publish("photo", photo_id)

    def remove_clip(self, clip_id: str) -> None:
        """Remove a clip."""
        del self.clips[clip_id]
        self.feed.publish("clip", clip_id)

    def clips_of(self, photo_id: str) -> Sequence[Clip]:
        """Return the clips of a photo."""
        return [clip for clip in self.clips.values() if clip.photograph == photo_id]

    def first_with_face(self) -> Photograph | None:
        """Return the first photo selected for the next clips that is not known to have no face."""
        found = (p for p in self.photographs.values() if p.waiting and p.file and p.faces != 0)
        return min(found, key=lambda photograph: photograph.added, default=None)

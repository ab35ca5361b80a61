"""What a studio holds: photographs, the clips made of them, and a voice.

A photograph is known by its content, or by its URL if it came as one; a clip by its
photograph, its expression and its voice. So nothing can be there twice, and asking again for
a clip that is there, or on its way, asks for nothing.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from attrs import define, evolve, field, frozen

from photoanimer_async import Template
from photoanimer_async.studio.feed import Feed
from photoanimer_async.studio.refused import MissingError


@frozen(kw_only=True)
class Photograph:
    """A photo that was dropped.

    Attributes:
        id: from its content or URL.
        name: what to call it.
        added: when, in seconds since the epoch; photographs are shown in this order.
        file: its file in the folder of photos; `None` if it was refused.
        url: where it came from, if it came as a URL.
        refusal: why the service would not take it.
        faceless: whether the engine has looked at it and found no face.
        waiting: whether it is among those to be animated next.
    """

    id: str
    name: str
    added: float
    file: str | None = None
    url: str | None = None
    refusal: str | None = None
    faceless: bool = False
    waiting: bool = True


@frozen(kw_only=True)
class Voice:
    """A sound for the mouths to follow.

    Attributes:
        id: from its content.
        name: what to call it.
        file: its file in the folder of voices.
        seconds: how long it is, where that is known.
    """

    id: str
    name: str
    file: str
    seconds: float | None = None


class Stage(StrEnum):
    """How far a clip is."""

    WAITING = "waiting"
    SENDING = "sending"
    MOVING = "moving"
    SAVING = "saving"
    DONE = "done"
    FAILED = "failed"
    UNCLEAR = "unclear"
    """The submit left and its answer was lost: it may have been charged."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it by itself."""
        return self in {Stage.DONE, Stage.FAILED, Stage.UNCLEAR}


@frozen(kw_only=True)
class Clip:
    """A photograph with an expression.

    Attributes:
        id: from what it is made of.
        photograph: whose.
        template: the expression.
        voice: what is said in it.
        cost: video seconds.
        batch: the batch in whose journal it stands.
        added: when it was asked for last, in seconds since the epoch.
        stage: how far it is.
        video: its file in the folder of videos, once it is done.
        error: why it failed, or is unclear.
        repeatable: whether it can be asked for again.
    """

    id: str
    photograph: str
    template: Template
    cost: float
    batch: str
    added: float
    voice: Voice | None = None
    stage: Stage = Stage.WAITING
    video: str | None = None
    error: str | None = None
    repeatable: bool = True


def clip_id(photograph: str, template: Template, voice: Voice | None) -> str:
    """What a clip is known by."""
    made_of = f"{photograph} {template.value} {voice.id if voice else ''}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:24]


@define
class Album:
    """All of it, in the order in which it came. What changes is told to the feed."""

    photographs: dict[str, Photograph] = field(factory=dict)
    clips: dict[str, Clip] = field(factory=dict)
    voice: Voice | None = None
    feed: Feed = field(factory=Feed, eq=False, repr=False)

    def photograph(self, number: str) -> Photograph:
        """One photograph.

        Raises:
            MissingError: there is none.
        """
        try:
            return self.photographs[number]
        except KeyError:
            raise MissingError("The photo is not in the album any more.") from None

    def clip(self, number: str) -> Clip:
        """One clip.

        Raises:
            MissingError: there is none.
        """
        try:
            return self.clips[number]
        except KeyError:
            raise MissingError("The clip is not in the album any more.") from None

    def put(self, *things: Photograph | Clip) -> None:
        """Adds things, or replaces those that are there."""
        for thing in things:
            if isinstance(thing, Clip):
                self.clips[thing.id] = thing
                self.feed.changed("clip", thing.id)
            else:
                self.photographs[thing.id] = thing
                self.feed.changed("photo", thing.id)

    def advance(self, number: str, stage: Stage) -> None:
        """A clip goes on, unless it has ended or is gone."""
        clip = self.clips.get(number)
        if clip is not None and not clip.stage.ended and clip.stage is not stage:
            self.put(evolve(clip, stage=stage))

    def set_voice(self, voice: Voice | None) -> None:
        """The voice for the next clips."""
        self.voice = voice
        self.feed.changed("voice")

    def remove_photograph(self, number: str) -> None:
        """Takes a photograph out."""
        del self.photographs[number]
        self.feed.changed("photo", number)

    def remove_clip(self, number: str) -> None:
        """Takes a clip out."""
        del self.clips[number]
        self.feed.changed("clip", number)

    def clips_of(self, photograph: str) -> Iterable[Clip]:
        """The clips of a photograph."""
        return [clip for clip in self.clips.values() if clip.photograph == photograph]

    def first_with_a_face(self) -> Photograph | None:
        """The first photograph to be animated next in which a face was not missed."""
        found = (p for p in self.photographs.values() if p.waiting and p.file and not p.faceless)
        return min(found, key=lambda photograph: photograph.added, default=None)

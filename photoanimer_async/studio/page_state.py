"""The JSON that the page receives. It contains no file names, journals or keys."""

import time
from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import frozen

from photoanimer_async import Template
from photoanimer_async.photos.voice import MAX_VOICE_BYTES
from photoanimer_async.studio.album import Change, Clip, Photograph, Voice
from photoanimer_async.studio.studio_actions import Studio

Json: TypeAlias = Mapping[str, Any]


@frozen
class ExpressionText:
    """The title of an expression, and one sentence that describes it."""

    title: str
    description: str


EXPRESSIONS: Mapping[Template, ExpressionText] = {
    Template.T0: ExpressionText(
        "Talking", "Says a few friendly words, with a nod and a smile at the end."
    ),
    Template.T1: ExpressionText(
        "Looking around, then a smile",
        "Looks to one side and to the other, finds you, and smiles.",
    ),
    Template.T2: ExpressionText("A wink", "A nod, a crooked smile, and a wink."),
    Template.T3: ExpressionText(
        "Surprise into laughter", "Eyes wide, mouth open, and then a hearty laugh."
    ),
    Template.T4: ExpressionText(
        "A playful no",
        "A mock-stern pout, a shake of the head, and a grin that gives it away.",
    ),
    Template.T5: ExpressionText(
        "A tender look and a kiss",
        "A warm look with the head a little tilted, closed eyes and a kiss for you.",
    ),
}
"""The local engine's descriptions, repeated here since the engine may not be installed.

The API page gives only numbers and durations.
"""


def full_state(studio: Studio) -> Json:
    """Return everything that a page needs when it opens."""
    album = studio.album
    return {
        "now": time.time(),
        "photos": [photo_json(photograph) for photograph in album.photographs.values()],
        "clips": [clip_json(clip) for clip in album.clips.values()],
        "voice": voice_json(album.voice),
        "account": account_json(studio),
        "previews": previews_json(studio),
        "expressions": [
            {
                "template": template.value,
                "seconds": template.seconds,
                "title": EXPRESSIONS[template].title,
                "description": EXPRESSIONS[template].description,
            }
            for template in Template
        ],
        "formats": studio.policy.formats,
        "limits": {
            "photo": studio.policy.max_bytes,
            "side": studio.policy.max_side,
            "voice": MAX_VOICE_BYTES,
        },
    }


def changed_item(studio: Studio, change: Change) -> Json:
    """Return the current state of a changed item; its value is `null` if it was removed."""
    kind, item_id = change
    album = studio.album
    value: Json | None = None
    match kind:
        case "photo" if item_id in album.photographs:
            value = photo_json(album.photographs[item_id])
        case "clip" if item_id in album.clips:
            value = clip_json(album.clips[item_id])
        case "voice":
            value = voice_json(album.voice)
        case "account":
            value = account_json(studio)
        case "previews":
            value = previews_json(studio)
        case _:
            pass  # it was removed
    return {"kind": kind, "id": item_id, "value": value}


def photo_json(photograph: Photograph) -> Json:
    """Return a photo's JSON."""
    return {
        "id": photograph.id,
        "name": photograph.name,
        "added": photograph.added,
        "refusal": photograph.refusal,
        "faces": photograph.faces,
        "waiting": photograph.waiting,
    }


def clip_json(clip: Clip) -> Json:
    """Return a clip's JSON."""
    return {
        "id": clip.id,
        "photo": clip.photograph,
        "template": clip.template.value,
        "everyone": clip.everyone,
        "voice": None if clip.voice is None else clip.voice.name,
        "cost": clip.cost,
        "added": clip.added,
        "ended": clip.ended,
        "stage": clip.stage.value,
        "paid": clip.task is not None,
        "stopping": clip.stopping,
        "error": clip.error,
        "repeatable": clip.repeatable,
    }


def voice_json(voice: Voice | None) -> Json | None:
    """Return the JSON of the voice for the next clips."""
    return None if voice is None else {"name": voice.name, "seconds": voice.seconds}


def account_json(studio: Studio) -> Json:
    """Return the service's name and the account's balance."""
    return {
        "service": studio.settings.service,
        "cancels": studio.animators.can_cancel,
        "everyone": studio.animators.everyone is not None,
        "seconds": studio.balance.seconds,
        "error": studio.balance.error,
    }


def previews_json(studio: Studio) -> Json:
    """Return which previews exist, and of which photo."""
    previews = studio.previews
    return {
        "possible": previews.possible,
        "of": previews.photo_id,
        "ready": sorted(template.value for template in previews.ready),
    }

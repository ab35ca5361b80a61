"""What the page is told, as JSON: nothing of files, journals or keys."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from photoanimer_async import Template
from photoanimer_async.photos.voice import MAX_VOICE_BYTES
from photoanimer_async.studio.album import Clip, Photograph, Voice
from photoanimer_async.studio.expression_names import EXPRESSIONS
from photoanimer_async.studio.feed import Change
from photoanimer_async.studio.studio import Studio

Json: TypeAlias = Mapping[str, Any]


def whole(studio: Studio) -> Json:
    """All that a page needs when it opens."""
    album = studio.album
    return {
        "photos": [photo_view(photograph) for photograph in album.photographs.values()],
        "clips": [clip_view(clip) for clip in album.clips.values()],
        "voice": voice_view(album.voice),
        "account": account_view(studio),
        "previews": previews_view(studio),
        "expressions": [
            {
                "template": template.value,
                "seconds": template.seconds,
                "title": EXPRESSIONS[template].title,
                "description": EXPRESSIONS[template].description,
            }
            for template in Template
        ],
        "formats": studio.admission.formats,
        "limits": {
            "photo": studio.admission.limit,
            "side": studio.admission.longest_side,
            "voice": MAX_VOICE_BYTES,
        },
    }


def part(studio: Studio, change: Change) -> Json:
    """What a change comes to: the thing as it is now, or `null` for one that is gone."""
    kind, number = change
    album = studio.album
    view: Json | None = None
    match kind:
        case "photo" if number in album.photographs:
            view = photo_view(album.photographs[number])
        case "clip" if number in album.clips:
            view = clip_view(album.clips[number])
        case "voice":
            view = voice_view(album.voice)
        case "account":
            view = account_view(studio)
        case "previews":
            view = previews_view(studio)
        case _:
            pass  # it is gone
    return {"kind": kind, "id": number, "value": view}


def photo_view(photograph: Photograph) -> Json:
    """A photo."""
    return {
        "id": photograph.id,
        "name": photograph.name,
        "added": photograph.added,
        "refusal": photograph.refusal,
        "faceless": photograph.faceless,
        "waiting": photograph.waiting,
    }


def clip_view(clip: Clip) -> Json:
    """A clip."""
    return {
        "id": clip.id,
        "photo": clip.photograph,
        "template": clip.template.value,
        "voice": None if clip.voice is None else clip.voice.name,
        "cost": clip.cost,
        "added": clip.added,
        "stage": clip.stage.value,
        "error": clip.error,
        "repeatable": clip.repeatable,
    }


def voice_view(voice: Voice | None) -> Json | None:
    """The voice for the next clips."""
    return None if voice is None else {"name": voice.name, "seconds": voice.seconds}


def account_view(studio: Studio) -> Json:
    """The service, and what is left there."""
    return {
        "service": studio.settings.service,
        "seconds": studio.account.seconds,
        "error": studio.account.error,
    }


def previews_view(studio: Studio) -> Json:
    """Which expressions can be seen, and on which photo."""
    previews = studio.previews
    return {
        "possible": previews.darkroom is not None,
        "of": previews.of,
        "ready": sorted(template.value for template in previews.ready),
    }

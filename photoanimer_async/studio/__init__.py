"""The studio: a web page that animates photos, and an example of an app that embeds this SDK.

::

    browser ──▶ request_guard ──▶ api_routes ──▶ uploads ──▶ album ◀── clip_batches ──▶ client
       ▲                                                     │  ▲
       └───────────── server-sent events ◀── change feed ────┘  └── face_preview ──▶ engine

* `album`: everything the page shows. Each change is published to its `ChangeFeed`, which every
  open page receives as server-sent events.
* `uploads`: receives photos and voices; `photo_policy` checks and prepares them.
* `clip_batches`: runs `animate_many`, one batch with its own journal for each start.
* `face_preview`: finds faces and renders previews with the local engine, if it is installed.

The page is in `page/`: one HTML file, one stylesheet and JavaScript modules.

Each name is imported when it is first used: the processes that decode photos need no aiohttp.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photoanimer_async.studio.animators import Animator
    from photoanimer_async.studio.studio_actions import Studio
    from photoanimer_async.studio.studio_settings import StudioSettings
    from photoanimer_async.studio.task_cancelling import TaskCanceller
    from photoanimer_async.studio.web_app import RunningStudio, create_app

__all__ = ["Animator", "RunningStudio", "Studio", "StudioSettings", "TaskCanceller", "create_app"]

_MODULE_OF = {
    "Animator": "animators",
    "RunningStudio": "web_app",
    "Studio": "studio_actions",
    "StudioSettings": "studio_settings",
    "TaskCanceller": "task_cancelling",
    "create_app": "web_app",
}

if not TYPE_CHECKING:  # a type checker would accept any name otherwise

    def __getattr__(name: str) -> object:
        if name in _MODULE_OF:
            return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

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
"""

from photoanimer_async.studio.animators import Animator
from photoanimer_async.studio.studio_actions import Studio
from photoanimer_async.studio.studio_settings import StudioSettings
from photoanimer_async.studio.task_cancelling import TaskCanceller
from photoanimer_async.studio.web_app import RunningStudio, create_app

__all__ = ["Animator", "RunningStudio", "Studio", "StudioSettings", "TaskCanceller", "create_app"]

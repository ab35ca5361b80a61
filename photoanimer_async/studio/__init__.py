"""A web page to bring photos to life with: an async web app that embeds this SDK.

::

    browser ──▶ guard ──▶ routes ──▶ intake ─────▶ album ◀──── production ──▶ PhotoAnimerClient
       ▲                               │            │  ▲             (animate_many, a journal
       │                               ▼            ▼  │              for each batch)
       └──── server-sent events ◀──── feed     album_file            previews ──▶ darkroom

`album` is all that the page shows; whatever changes in it is told to `feed`, which every open
page listens to. `intake` takes photos and voices in (`admission` makes the photos fit),
`production` has clips made of them by the client that it is given, and `previews` shows the
expressions on the first photo. The last needs the engine, which does its work in processes of
its own (`darkroom`); without it the page has descriptions instead.

The page itself is what is in `page/`: one HTML file, one stylesheet, modules of JavaScript.
"""

from photoanimer_async.studio.studio import Studio
from photoanimer_async.studio.studio_server import RunningStudio
from photoanimer_async.studio.studio_settings import StudioSettings
from photoanimer_async.studio.web_app import create_app

__all__ = ["RunningStudio", "Studio", "StudioSettings", "create_app"]

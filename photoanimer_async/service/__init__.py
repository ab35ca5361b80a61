"""A local Photo Animer: the API page's interfaces on one's own machine, really animating.

::

    request → admission (whose key, how often)
                 │
    submit → parameters → acceptance ─ fetch; store (tasks, photos, charges) ─ ledger, database
                              │
                        render_queue ─ rendering (the seam), workers → worker process → engine
                              │                  └ dask_renderer → a cluster → the same there
                              │
                     outbox → notify → webhooks → an account's address

`app` is the HTTP side of it, `assembly` opens and joins the parts, and `local` is the socket;
`health`, `metrics` and `operations` are for those who run it. What is sent is pinned to the API
page by golden JSON; nothing here is shared with the client, so that neither hides the other's
mistakes.
"""

from photoanimer_async.service.app import create_app
from photoanimer_async.service.error_codes import RenderFailedError, SetupError, markdown_table
from photoanimer_async.service.local_service import LocalService, serve
from photoanimer_async.service.rendering.renderer import Renderer, RenderJob
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing.account_book import AccountBook, AccountError
from photoanimer_async.service.storing.accounts import Account
from photoanimer_async.service.storing.ledger import Charging, Entry, Kind

__all__ = [
    "Account",
    "AccountBook",
    "AccountError",
    "Charging",
    "Entry",
    "Kind",
    "LocalService",
    "RenderFailedError",
    "RenderJob",
    "Renderer",
    "ServiceSettings",
    "SetupError",
    "create_app",
    "markdown_table",
    "serve",
]

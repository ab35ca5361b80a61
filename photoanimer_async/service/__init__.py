"""A local Photo Animer: the API page's interfaces on your own machine, with real rendering.

::

    request → access (account, rate limit)
                 │
    submit → parameters → acceptance ─ fetching; storing (tasks, photos, charges)
                              │
                    rendering: queue → renderer → worker process → engine
                              │            └ Dask cluster → worker process → engine
                              │
                    notifying: outbox → webhooks → the account's address

`app` has the HTTP interfaces, `assembly` creates and connects the parts, and `local_service` runs
the application on a socket. Golden files pin the JSON to the API page. The service shares no
code with the client, because an error in shared code would hide itself. See README.md.

Each name is imported when it is first used: worker processes need neither aiohttp nor the app.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_MODULE_OF = {
    "Account": "storing.accounts",
    "AccountBook": "storing.account_book",
    "AccountError": "storing.account_book",
    "Charging": "storing.ledger",
    "Entry": "storing.ledger",
    "Kind": "storing.ledger",
    "LocalService": "local_service",
    "RenderFailedError": "error_codes",
    "RenderJob": "rendering.renderer",
    "Renderer": "rendering.renderer",
    "ServiceSettings": "settings",
    "SetupError": "error_codes",
    "create_app": "app",
    "markdown_table": "error_codes",
    "serve": "local_service",
}

if not TYPE_CHECKING:  # a type checker would accept any name otherwise

    def __getattr__(name: str) -> object:
        if name in _MODULE_OF:
            return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""An endpoint of your web app that receives the service's notifications.

How it works. A notification proves nothing, so receiving one is cheap: compare the token in the
path, parse the body, put the task id in a queue, answer the sender. One worker passes the ids
to the client, which polls the tasks that are waited for. Waiting calls return what getTaskInfo
answers, and nothing of the notification.

Everything is bounded: the body and the time to read it, the queue, the number of notified tasks
that are remembered, and the polls. If the queue is full, the sender gets status 503; should it
not try again, the reduced polling of `NotifiedPolling` finds the task.
"""

import asyncio
import hmac
import logging
import os
import re
import secrets
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from photoanimer_async.errors import InvalidNotificationError, InvalidRequestError
from photoanimer_async.models import TaskId, require_count
from photoanimer_async.notifications.access_logs import hide_in_access_logs
from photoanimer_async.notifications.parse import MAX_NOTIFICATION_BYTES, parse_notification
from photoanimer_async.notifications.web_adapters import Answer, AsgiApp, aiohttp_handler, asgi_app

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger(__name__)

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,200}")
_QUEUE_SIZE = 1000


class NotificationReceiver:
    """An address for the service's notifications (API page, Interface 2).

    Create one per application and client, mount it with `asgi` or `routes`, and pass it to the
    client, which listens while it is open:

        receiver = NotificationReceiver(os.environ["PHOTOANIMER_NOTIFY_TOKEN"])
        app.mount("/photoanimer", receiver.asgi)
        client = PhotoAnimerClient(receiver=receiver)

    The URL to register with the service is your origin, the prefix of the mount, and `path`.
    Anyone who knows the token in it can make the client poll tasks, and nothing more. As long as
    the receiver or a mount of it exists, the token is hidden in the access logs of the usual
    servers; keep it out of the logs of proxies.

    Args:
        token: 22 to 200 of the characters A-Z, a-z, 0-9, `-` and `_`, hard to guess, for
            instance from `secrets.token_urlsafe(32)`. Without it, the environment variable
            `PHOTOANIMER_NOTIFY_TOKEN` is used, and without that a new random token.
        queue: the number of notifications that may wait to be processed, at least 1.

    Raises:
        InvalidRequestError: an invalid token or queue size.
    """

    def __init__(self, token: str | None = None, *, queue: int = _QUEUE_SIZE) -> None:
        token = token or os.environ.get("PHOTOANIMER_NOTIFY_TOKEN") or secrets.token_urlsafe(32)
        if not _TOKEN.fullmatch(token):
            raise InvalidRequestError(
                "a notification token has 22 to 200 of the characters A-Z, a-z, 0-9, - and _, "
                f"not {len(token)} characters such as these; secrets.token_urlsafe(32) makes one"
            )
        require_count("queue", queue)
        self._token = token
        # As long as it is mounted: notifications come before a client listens, and after it.
        weakref.finalize(self, hide_in_access_logs(token))
        self._size = queue
        self._queue: asyncio.Queue[TaskId] | None = None
        self._queued: set[str] = set()

    def __repr__(self) -> str:
        return f"<NotificationReceiver {'listening' if self._queue else 'closed'}>"

    @property
    def path(self) -> str:
        """The secret path below the mount, with a leading slash."""
        return f"/{self._token}"

    @property
    def asgi(self) -> AsgiApp:
        """An ASGI application, to be mounted in FastAPI, Starlette, Quart or Django."""
        return asgi_app(self)

    def routes(self, prefix: str = "") -> "list[web.RouteDef]":
        """Return routes for aiohttp's `app.add_routes`.

        Args:
            prefix: the path before the token, for instance `/photoanimer`.
        """
        from aiohttp import web  # noqa: PLC0415 - programs with another server need none of it

        return [web.route("*", f"{prefix.rstrip('/')}/{{token}}", aiohttp_handler(self))]

    # --- for the adapters ---

    def admits(self, token: str) -> bool:
        """Return whether this is the token; compared in constant time."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token.encode())

    def take(self, body: bytes) -> Answer:
        """Queue a notification, and return the answer to its sender. Does not block."""
        if len(body) > MAX_NOTIFICATION_BYTES:
            return Answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_NOTIFICATION_BYTES} bytes"
            )
        try:
            task_id = parse_notification(body).task_id
        except InvalidNotificationError as error:
            _log.info("event=notification_refused why=%s", error)
            return Answer(HTTPStatus.BAD_REQUEST, str(error))
        if self._queue is None:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "no client is listening")
        key = str(task_id)
        if key not in self._queued:
            try:
                self._queue.put_nowait(task_id)
            except asyncio.QueueFull:
                _log.warning("task=%s event=notification_refused why=queue_full", key)
                return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "too many notifications")
            self._queued.add(key)
            _log.debug("task=%s event=notified", key)
        return Answer(HTTPStatus.NO_CONTENT)

    # --- for the client ---

    @asynccontextmanager
    async def listening(self, on_notified: Callable[[TaskId], None]) -> AsyncIterator[None]:
        """Call `on_notified` with the task of each notification until the end of the block.

        A notification of a task that is still in the queue is dropped.

        Raises:
            InvalidRequestError: another client is listening to this receiver.
        """
        if self._queue is not None:
            raise InvalidRequestError(
                "another client is listening to this receiver: create one for each client"
            )
        self._queue = asyncio.Queue(self._size)
        worker = asyncio.create_task(
            self._process(self._queue, on_notified), name="photoanimer notifications"
        )
        try:
            yield
        finally:
            self._queue = None
            self._queued.clear()
            worker.cancel()
            await asyncio.wait([worker])

    async def _process(
        self, queue: asyncio.Queue[TaskId], on_notified: Callable[[TaskId], None]
    ) -> None:
        while True:
            task_id = await queue.get()
            self._queued.discard(str(task_id))
            on_notified(task_id)

"""Where notifications come in.

How it works. A notification proves nothing, so taking one in is cheap: the token in the path
is compared, the body parsed, the task's id put in a queue, and the sender answered. One worker
takes ids off the queue and has the scheduler look at the tasks that are waited for; whoever
waits is told what getTaskInfo says, and nothing else.

All is bounded: the body, the time it may take to come, the queue, what is remembered of tasks
that were notified, and the looks that follow. When the queue is full the sender is told to
come again; if it does not, the safety net of slow polling finds the task.
"""

import asyncio
import hmac
import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web
from attrs import frozen

from photoanimer_async.errors import InvalidNotificationError, InvalidRequestError
from photoanimer_async.models import TaskId
from photoanimer_async.notifications.access_logs import hidden_in_access_logs
from photoanimer_async.notifications.aiohttp_web import aiohttp_handler
from photoanimer_async.notifications.asgi import AsgiApp, asgi_app
from photoanimer_async.notifications.parse import LARGEST_NOTIFICATION, parse_notification

_log = logging.getLogger(__name__)

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,200}")
_QUEUED = 1000

Hear = Callable[[TaskId], None]
"""Is told the id of a task that is said to have ended."""


@frozen
class Answer:
    """What the sender of a notification is answered.

    Attributes:
        status: the HTTP status.
        text: for the person who looks why it was refused; empty if it was not.
    """

    status: HTTPStatus
    text: str = ""


class NotificationReceiver:
    """An address for the service's notifications (API page, Interface 2).

    Made once per application and client, mounted with `asgi` or `routes`, and handed to the
    client, which listens to it while it is open:

        receiver = NotificationReceiver(os.environ["PHOTOANIMER_NOTIFY_TOKEN"])
        app.mount("/photoanimer", receiver.asgi)
        client = PhotoAnimerClient(receiver=receiver)

    The address to register with the service is your own one, the prefix it is mounted at, and
    `path`. Whoever knows the token in it can make the client look at tasks, and nothing more;
    keep it out of the logs of proxies. In the loggers of the usual servers it is blotted out.

    Args:
        token: at least 22 of the characters A-Z, a-z, 0-9, `-` and `_`, hard to guess, for
            instance from `secrets.token_urlsafe(32)`; by default from the environment,
            `PHOTOANIMER_NOTIFY_TOKEN`, else a new one.
        queue: notifications held until they are looked into, at most.

    Raises:
        InvalidRequestError: a token that is not of that kind, or no room in the queue.
    """

    def __init__(self, token: str | None = None, *, queue: int = _QUEUED) -> None:
        token = token or os.environ.get("PHOTOANIMER_NOTIFY_TOKEN") or secrets.token_urlsafe(32)
        if not _TOKEN.fullmatch(token):
            raise InvalidRequestError(
                "a notification token has 22 to 200 of the characters A-Z, a-z, 0-9, - and _, "
                f"not {len(token)} characters such as these; secrets.token_urlsafe(32) makes one"
            )
        if queue < 1:
            raise InvalidRequestError(f"queue must be at least 1, not {queue}")
        self._token = token
        self._size = queue
        self._queue: asyncio.Queue[TaskId] | None = None
        self._queued: set[str] = set()

    def __repr__(self) -> str:
        return f"<NotificationReceiver {'listening' if self._queue else 'closed'}>"

    @property
    def path(self) -> str:
        """The secret path below where the receiver is mounted, with a slash before it."""
        return f"/{self._token}"

    @property
    def asgi(self) -> AsgiApp:
        """An ASGI application, to be mounted in FastAPI, Starlette, Quart or Django."""
        return asgi_app(self)

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Routes for aiohttp's `app.add_routes`.

        Args:
            prefix: the path before the token, for instance `/photoanimer`.
        """
        return [web.route("*", f"{prefix.rstrip('/')}/{{token}}", aiohttp_handler(self))]

    # --- for the adapters ---

    def admits(self, token: str) -> bool:
        """Whether this is the token; compared in constant time."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token.encode())

    def take(self, body: bytes) -> Answer:
        """Takes a notification in; nothing is awaited, and nobody is told of it yet."""
        if len(body) > LARGEST_NOTIFICATION:
            return Answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LARGEST_NOTIFICATION} bytes"
            )
        try:
            task_id = parse_notification(body).task_id
        except InvalidNotificationError as error:
            _log.info("refused: %s", error)
            return Answer(HTTPStatus.BAD_REQUEST, str(error))
        if self._queue is None:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "nobody listens now")
        key = str(task_id)
        if key not in self._queued:
            try:
                self._queue.put_nowait(task_id)
            except asyncio.QueueFull:
                _log.warning("task=%s event=not_taken why=queue_full", key)
                return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "too many notifications")
            self._queued.add(key)
            _log.debug("task=%s event=notified", key)
        return Answer(HTTPStatus.NO_CONTENT)

    # --- for the client ---

    @asynccontextmanager
    async def listening(self, hear: Hear) -> AsyncIterator[None]:
        """Has `hear` told of every notification that comes in meanwhile, duplicates left out.

        Raises:
            InvalidRequestError: another client listens to this receiver.
        """
        if self._queue is not None:
            raise InvalidRequestError("another client listens to this receiver: make one for each")
        self._queue = asyncio.Queue(self._size)
        work = asyncio.create_task(self._work(self._queue, hear), name="photoanimer notifications")
        try:
            with hidden_in_access_logs(self._token):
                yield
        finally:
            self._queue = None
            self._queued.clear()
            work.cancel()
            await asyncio.wait([work])

    async def _work(self, queue: asyncio.Queue[TaskId], hear: Hear) -> None:
        while True:
            task_id = await queue.get()
            self._queued.discard(str(task_id))
            hear(task_id)

"""Makes a running service do what a fault script says.

`FaultInjector` stands in three places:

* `middleware` is around all handlers of the service. It counts requests, calls the service where
  the script lets it act, and answers differently where a rule says so. A fault `before` never
  reaches the service; one `after` loses the service's answer, so that a submit is accepted and
  charged.
* `wrap_renderer` is around the renderer: tasks take longer, or fail.
* `wrap_sender` is around the sender of notifications.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, assert_never, get_args

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import field, frozen

from photoanimer_async.service.acceptance import FileSource
from photoanimer_async.service.faults import faulty_responses
from photoanimer_async.service.faults.actions import (
    Delay,
    Drip,
    Drop,
    Duplicate,
    Expired,
    Html,
    NotificationAction,
    Refuse,
    Reset,
    ResponseAction,
    Status,
    Timeout,
    Truncate,
    When,
)
from photoanimer_async.service.faults.script import Fault, Rule, Script, Subject
from photoanimer_async.service.faults.scripted_tasks import (
    ScriptedRenderer,
    ScriptedTask,
    ScriptedTasks,
)
from photoanimer_async.service.notifying.webhooks import Sender
from photoanimer_async.service.rendering.renderer import Renderer
from photoanimer_async.service.storing.outbox import Notification

_logger = logging.getLogger(__name__)

_SUBJECTS: Final = {
    "submitTaskByUrl": Subject.SUBMIT,
    "getTaskInfo": Subject.POLL,
    "mySubscription": Subject.BALANCE,
}
_RESULTS: Final = "/results/"


@frozen(kw_only=True)
class Exchange:
    """A request, and how it was answered.

    Attributes:
        subject: which interface was called.
        number: the number of the request to this interface, counted from 1.
        task: the number of the task that it is about, where that is known.
        query: its parameters, decoded.
        status: the HTTP status of the service's own answer; `None` if it did not act.
        envelope: the JSON of that answer, if it is JSON.
        fault: the action of the script that was applied, as it is written there.
    """

    subject: Subject
    number: int
    task: int | None
    query: Mapping[str, str] = field(repr=False)
    status: int | None
    envelope: Mapping[str, Any] = field(repr=False)
    fault: str | None


class FaultInjector:
    """The faults of one service.

        injector = FaultInjector(parse_script("submit 3: reset after"))
        async with LocalService(settings, faults=injector):
            ...

    Args:
        rules: the rules of the script.

    Attributes:
        script: the rules, and what has been counted.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.script = Script(rules)
        self._tasks = ScriptedTasks(self.script)
        self._stopping = asyncio.Event()

    async def stop(self, _: web.Application) -> None:
        """End all delays and open requests."""
        self._stopping.set()

    def wrap_fetcher(self, fetcher: FileSource) -> FileSource:
        """Return the fetcher unchanged; subclasses may replace it."""
        return fetcher

    def wrap_renderer(self, renderer: Renderer) -> Renderer:
        """Return a renderer that follows the script."""
        return ScriptedRenderer(self._tasks, renderer)

    def wrap_sender(self, sender: Sender) -> Sender:
        """Return a sender of notifications that follows the script."""
        return _ScriptedSender(self, sender)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as the script says, or as the service does."""
        subject = _subject(request)
        if subject is None:
            return await handler(request)
        task = self._task(subject, request)
        event = self.script.count(subject, None if task is None else task.number)
        fault: Fault[ResponseAction] | None = self.script.find(event, get_args(ResponseAction))
        response = None
        if fault is None or _reaches_service(fault.action):
            response = await self.call_service(request, handler, task)
        envelope = envelope_of(response)
        if subject is Subject.SUBMIT and isinstance(envelope.get("data"), int):
            task = self._tasks.accept(envelope["data"])
        self.record(
            Exchange(
                subject=subject,
                number=event.number,
                task=None if task is None else task.number,
                query=dict(request.query),
                status=None if response is None else response.status,
                envelope=envelope,
                fault=None if fault is None else fault.text,
            )
        )
        response = response or web.Response()
        return response if fault is None else await self._apply(fault.action, request, response)

    async def call_service(
        self, request: web.Request, handler: Handler, task: ScriptedTask | None
    ) -> web.StreamResponse:
        """Return the service's own answer; `task` is the task of a poll or a download."""
        if task is not None and _subject(request) is Subject.POLL:
            task.count_poll()
        return await handler(request)

    def record(self, exchange: Exchange) -> None:
        """Record a request before it is answered: here, log its fault."""
        if exchange.fault is not None:
            _logger.info(
                "event=fault at=%s number=%d fault=%r",
                exchange.subject,
                exchange.number,
                exchange.fault,
            )

    @property
    def is_stopping(self) -> bool:
        """Whether the service is stopping."""
        return self._stopping.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait for a number of seconds, or until the service stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def find_for_notification(self, task_id: int) -> NotificationAction | None:
        """Count a notification, and return the action that the script has for it."""
        task = self._tasks.accept(task_id)
        event = self.script.count(Subject.NOTIFICATION, task.number)
        fault: Fault[NotificationAction] | None = self.script.find(
            event, get_args(NotificationAction)
        )
        return None if fault is None else fault.action

    def _task(self, subject: Subject, request: web.Request) -> ScriptedTask | None:
        """Return the task that a request is about."""
        if subject is Subject.DOWNLOAD:
            return self._tasks.with_result(request.path.removeprefix(_RESULTS))
        with suppress(KeyError, ValueError):
            return self._tasks.with_id(int(request.query["taskId"]))
        return None

    async def _apply(
        self, action: ResponseAction, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        """Answer a request as an action says; `response` is the service's own answer."""
        match action:
            case Status() | Refuse() | Html() | Expired():
                return faulty_responses.replacement(action)
            case Reset():
                return faulty_responses.reset(request)
            case Timeout():
                return await faulty_responses.hang(request, self.pause, self._stopping)
            case Delay():
                await self.pause(action.seconds)
                return response
            case Drip():
                return await faulty_responses.drip(request, response, action.seconds, self.pause)
            case Truncate():
                return await faulty_responses.truncate(request, response, action.percent)
            case _:
                assert_never(action)


@frozen
class _ScriptedSender:
    """A sender that drops, repeats or delays first attempts; later ones it leaves alone."""

    injector: FaultInjector
    sender: Sender

    async def send(self, notification: Notification) -> None:
        action = None
        if not notification.attempts:
            action = self.injector.find_for_notification(notification.task_id)
        match action:
            case None:
                await self.sender.send(notification)
            case Drop():
                pass
            case Duplicate():
                await self.sender.send(notification)
                await self.sender.send(notification)
            case Delay():
                await self.injector.pause(action.seconds)
                await self.sender.send(notification)
            case _:
                assert_never(action)


def envelope_of(response: web.StreamResponse | None) -> Mapping[str, Any]:
    """Return the JSON of a response; empty if there is none."""
    if not isinstance(response, web.Response) or response.content_type != "application/json":
        return {}
    envelope: Mapping[str, Any] = json.loads(response.text or "{}")
    return envelope


def _subject(request: web.Request) -> Subject | None:
    if request.path.startswith(_RESULTS):
        return Subject.DOWNLOAD
    return _SUBJECTS.get(request.path.rstrip("/").rpartition("/")[2])


def _reaches_service(action: ResponseAction) -> bool:
    match action:
        case Refuse() | Expired():
            return False
        case Status(when=when) | Html(when=when) | Reset(when=when) | Timeout(when=when):
            return when is When.AFTER
        case _:
            return True

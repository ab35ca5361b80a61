"""Makes a service do as a script says.

Everything that can go wrong is at one of three places, and at each the service is given
something that stands in between:

* `FaultInjector.middleware` is around all of the service's own handlers. It counts requests,
  lets those through that the service is to act on, and answers in its own way where a rule
  says so. A fault `before` never reaches the service; one `after` loses an answer that was
  given, so that a submit is accepted and charged.
* `render_with` is around the renderer: it holds tasks back, and makes them fail.
* `send_with` is around what sends notifications.
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
    Answering,
    Delay,
    Delivering,
    Drip,
    Drop,
    Duplicate,
    Expired,
    Html,
    Refuse,
    Reset,
    Status,
    Timeout,
    Truncate,
    written,
)
from photoanimer_async.service.faults.rules import Rule, Subject
from photoanimer_async.service.faults.script import Script
from photoanimer_async.service.faults.scripted_tasks import ScriptedTask, ScriptedTasks
from photoanimer_async.service.faults.syntax import When
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
    """A request, and what became of it.

    Attributes:
        subject: which interface.
        number: of the requests to this interface, counted from 1.
        task: the number of the task that it is about, where that is known.
        query: its parameters, decoded.
        status: the HTTP status of the service's own answer; `None` if it did not act.
        envelope: the JSON of that answer, where it is JSON.
        fault: what the script made of it, as it is written there.
    """

    subject: Subject
    number: int
    task: int | None
    query: Mapping[str, str] = field(repr=False)
    status: int | None
    envelope: Mapping[str, Any] = field(repr=False)
    fault: str | None


class FaultInjector:
    """What goes wrong in one service.

    Args:
        rules: the script.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.script = Script(rules)
        self._tasks = ScriptedTasks(self.script)
        self._stopping = asyncio.Event()

    async def stop(self, _: web.Application) -> None:
        """Give up what is held back."""
        self._stopping.set()

    def fetch_with(self, fetcher: FileSource) -> FileSource:
        """The fetcher, as it is."""
        return fetcher

    def render_with(self, renderer: Renderer) -> Renderer:
        """The renderer with what the script says of tasks."""
        return self._tasks.render_with(renderer)

    def send_with(self, sender: Sender) -> Sender:
        """The sender with what the script says of notifications."""
        return _ScriptedSender(self, sender)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as the script says, or as the service does."""
        subject = _subject(request)
        if subject is None:
            return await handler(request)
        task = self._task(subject, request)
        number, number_of_task = self.script.count(subject, _number(task))
        action = self.script.first(
            get_args(Answering), subject, number, _number(task), number_of_task
        )
        answer = await self.act(request, handler, task) if _reaches_service(action) else None
        envelope = envelope_of(answer)
        if subject is Subject.SUBMIT and isinstance(envelope.get("data"), int):
            task = self._tasks.accepted(envelope["data"])
        fault = None if action is None else written(action)
        self.note(
            Exchange(
                subject=subject,
                number=number,
                task=_number(task),
                query=dict(request.query),
                status=None if answer is None else answer.status,
                envelope=envelope,
                fault=fault,
            )
        )
        return await self._answer(action, request, answer or web.Response())

    async def act(
        self, request: web.Request, handler: Handler, task: ScriptedTask | None
    ) -> web.StreamResponse:
        """Let the service act on a request; `task` is what it is about, where that is known."""
        if task is not None and _subject(request) is Subject.POLL:
            task.look()
        return await handler(request)

    def note(self, exchange: Exchange) -> None:
        """Take note of a request before it is answered."""
        if exchange.fault is not None:
            _logger.info(
                "event=fault at=%s number=%d fault=%r",
                exchange.subject,
                exchange.number,
                exchange.fault,
            )

    @property
    def is_stopping(self) -> bool:
        """Whether the service is about to end."""
        return self._stopping.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, though no longer than the service runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def send(self, sender: Sender, notification: Notification) -> None:
        """Deliver a notification in the way that the script says; only the first attempt."""
        if notification.attempts:
            await sender.send(notification)
            return
        of_task = self._tasks.accepted(notification.task_id).number
        number, number_of_task = self.script.count(Subject.NOTIFICATION, of_task)
        action = self.script.first(
            get_args(Delivering), Subject.NOTIFICATION, number, of_task, number_of_task
        )
        match action:
            case None:
                await sender.send(notification)
            case Drop():
                pass
            case Duplicate():
                await sender.send(notification)
                await sender.send(notification)
            case Delay():
                await self.pause(action.seconds)
                await sender.send(notification)
            case _:
                assert_never(action)

    def _task(self, subject: Subject, request: web.Request) -> ScriptedTask | None:
        """The task that a request is about."""
        if subject is Subject.DOWNLOAD:
            return self._tasks.with_result(request.path.removeprefix(_RESULTS))
        with suppress(KeyError, ValueError):
            return self._tasks.known(int(request.query["taskId"]))
        return None

    async def _answer(
        self, action: Answering | None, request: web.Request, answer: web.StreamResponse
    ) -> web.StreamResponse:
        match action:
            case None:
                pass
            case Status() | Refuse() | Html() | Expired():
                answer = faulty_responses.another(action)
            case Reset():
                answer = faulty_responses.reset(request)
            case Timeout():
                answer = await faulty_responses.silence(request, self.pause, self._stopping)
            case Delay():
                await self.pause(action.seconds)
            case Drip():
                answer = await faulty_responses.drip(request, answer, action.seconds, self.pause)
            case Truncate():
                answer = await faulty_responses.truncate(request, answer, action.percent)
            case _:
                assert_never(action)
        return answer


@frozen
class _ScriptedSender:
    injector: FaultInjector
    sender: Sender

    async def send(self, notification: Notification) -> None:
        await self.injector.send(self.sender, notification)


def envelope_of(answer: web.StreamResponse | None) -> Mapping[str, Any]:
    """The JSON of an answer; empty if there is none."""
    if not isinstance(answer, web.Response) or answer.content_type != "application/json":
        return {}
    envelope: Mapping[str, Any] = json.loads(answer.text or "{}")
    return envelope


def _number(task: ScriptedTask | None) -> int | None:
    return None if task is None else task.number


def _subject(request: web.Request) -> Subject | None:
    if request.path.startswith(_RESULTS):
        return Subject.DOWNLOAD
    return _SUBJECTS.get(request.path.rpartition("/")[2])


def _reaches_service(action: Answering | None) -> bool:
    match action:
        case Refuse() | Expired():
            return False
        case Status(when=when) | Html(when=when) | Reset(when=when) | Timeout(when=when):
            return when is When.AFTER
        case _:
            return True

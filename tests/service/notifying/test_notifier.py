"""Delivery of notifications, by real requests to a real receiver."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.service import AccountBook, RenderFailedError, ServiceSettings
from photoanimer_async.service.app_keys import DATABASE
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.notifying.notifier import retry_delay
from photoanimer_async.service.notifying.signing import new_secret
from photoanimer_async.service.notifying.webhooks import WebhookSender
from photoanimer_async.service.settings import RETRY_SCHEDULE
from photoanimer_async.service.storing import outbox as outbox_table
from photoanimer_async.service.storing.outbox import Notification

from ...support.stub_service import serving
from ..conftest import (
    KEY,
    LONGEST_WAIT,
    InstantRenderer,
    PhotoHost,
    Running,
    Start,
    golden,
    until,
)

SOON = (0.01,) * 9

WAITS = {
    "7200": "7200.0",
    "7200.5": "7200.5",
    "Fri, 01 Jan 2100 00:00:00 GMT": "86400",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999": "",
}
"""Values of `Retry-After`, and how the wait that is logged begins; impossible ones are ignored."""


@define
class Post:
    """A request that the receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def task(self) -> int:
        task_id: int = json.loads(self.body)["eventData"]["taskId"]
        return task_id

    def is_signed_with(self, secret: str) -> bool:
        """Verify the signature as Standard Webhooks specifies it, without our own code."""
        parts = self.headers["webhook-id"], self.headers["webhook-timestamp"], self.body.decode()
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, ".".join(parts).encode(), hashlib.sha256).digest()
        return self.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@define
class Receiver:
    """An application that confirms notifications, or refuses them."""

    url: str = ""
    statuses: list[int] = field(factory=list)
    headers: dict[str, str] = field(factory=dict)
    refuses: bool = False
    posts: list[Post] = field(factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.posts.append(Post(headers, await request.read()))
        status = 503 if self.refuses else self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers=self.headers)

    @property
    def tasks(self) -> set[int]:
        return {post.task for post in self.posts}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serving(receiver.take) as origin:
        receiver.url = f"{origin}/s3cret/hook?token=s3cret"
        yield receiver


async def pending(service: Running) -> int:
    return await service.service.app[DATABASE].read(outbox_table.pending)


async def nothing_pending(service: Running) -> None:
    async with asyncio.timeout(LONGEST_WAIT):
        while await pending(service):
            await asyncio.sleep(0.005)


class TestBody:
    async def test_the_body_for_a_finished_task_is_the_api_pages(
        self, start: Start, host: PhotoHost, receiver: Receiver
    ) -> None:
        service = await start(notify_url=receiver.url)
        info = await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: receiver.posts)
        expected = golden("notification.json")
        expected["eventData"] = {"taskId": info["taskId"], "resultUrl": info["resultUrl"]}
        [post] = receiver.posts
        assert json.loads(post.body) == expected
        assert post.headers["content-type"] == "application/json"
        await nothing_pending(service)

    @pytest.mark.parametrize("public_url", [None, "https://animer.example"])
    async def test_the_link_does_not_depend_on_the_host_of_a_request(
        self, start: Start, host: PhotoHost, receiver: Receiver, public_url: str | None
    ) -> None:
        service = await start(
            notify_url=receiver.url, public_url=public_url, keys={KEY}, allow_networks=["127.0.0.1"]
        )
        async with service.session.get(
            f"{service.service.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": host.url("photo.png"), "templateId": "1"},
            headers={"Host": "evil.example"},
        ) as answer:
            assert (await answer.json())["code"] == 0
        await until(lambda: receiver.posts)
        link = json.loads(receiver.posts[0].body)["eventData"]["resultUrl"]
        own = service.service.base_url.removesuffix("/api/v1")
        assert link.startswith(f"{public_url or own}/results/")
        await nothing_pending(service)

    async def test_the_body_for_a_failed_task_has_its_status(
        self, start: Start, host: PhotoHost, receiver: Receiver, renderer: InstantRenderer
    ) -> None:
        service = await start(notify_url=receiver.url)
        renderer.error = RenderFailedError(NO_FACE, "no face")
        failed = await service.submit(host.url("photo.png"))
        await until(lambda: receiver.posts)
        assert json.loads(receiver.posts[0].body) == {
            "eventName": "EVENT_FACE_DRIVEN_TASK_FINISHED",
            "eventData": {"taskId": failed, "resultUrl": None, "status": 2},
        }

    async def test_nothing_is_sent_without_a_url(self, start: Start, host: PhotoHost) -> None:
        service = await start()
        await service.end_of(await service.submit(host.url("photo.png")))
        assert await pending(service) == 0


class TestAttempts:
    async def test_it_is_retried_until_confirmed_and_logs_contain_no_secret(
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("DEBUG")
        receiver.statuses = [503, 404]
        secret = new_secret()
        service = await start(notify_url=receiver.url, notify_secret=secret, notify_schedule=SOON)
        task_id = await service.submit(host.url("photo.png"))
        await until(lambda: f"task={task_id} event=notified attempt=3" in caplog.text)
        assert len(receiver.posts) == 3
        assert len({(post.headers["webhook-id"], post.body) for post in receiver.posts}) == 1
        origin = receiver.url.partition("/s3cret")[0]
        assert f"event=not_notified host={origin} why=http_503 attempt=1 next_in=" in caplog.text
        assert "s3cret" not in caplog.text
        assert secret not in caplog.text
        await nothing_pending(service)

    async def test_a_fault_of_the_sender_is_logged_without_the_url_and_is_retried(
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        logged_errors: list[logging.LogRecord],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        send, faults = WebhookSender.send, [ValueError(receiver.url)]

        async def faulty(sender: WebhookSender, notification: Notification) -> None:
            if faults:
                raise faults.pop()
            await send(sender, notification)

        caplog.set_level("INFO")
        service = await start(notify_url=receiver.url, notify_schedule=SOON)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WebhookSender, "send", faulty)
            task_id = await service.submit(host.url("photo.png"))
            await until(lambda: f"task={task_id} event=notified attempt=2" in caplog.text)
        assert f"task={task_id} event=sender_fault" in caplog.text
        assert "in faulty" in caplog.text
        logged_errors.clear()
        assert "s3cret" not in caplog.text

    @pytest.mark.parametrize("step", ["due", "remove"])
    async def test_an_error_of_the_database_or_the_machine_does_not_end_the_notifier(  # noqa: PLR0917 - fixtures
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        monkeypatch: pytest.MonkeyPatch,
        logged_errors: list[object],
        step: str,
    ) -> None:
        original, fails = getattr(outbox_table, step), [MemoryError()]

        def failing(*arguments: object) -> object:
            if fails:
                raise fails.pop()
            return original(*arguments)

        monkeypatch.setattr(outbox_table, step, failing)
        monkeypatch.setattr("photoanimer_async.service.notifying.notifier._PAUSE_AFTER_ERROR", 0.01)
        service = await start(notify_url=receiver.url)
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: receiver.posts and not fails)
        await nothing_pending(service)
        logged_errors.clear()

    async def test_it_is_dropped_after_the_last_attempt(
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        receiver.refuses = True
        service = await start(notify_url=receiver.url, notify_schedule=(0.01, 0.01))
        task_id = await service.submit(host.url("photo.png"))
        await until(lambda: f"task={task_id} event=notification_given_up" in caplog.text)
        assert len(receiver.posts) == 3
        assert await pending(service) == 0

    async def test_status_410_drops_it_at_once(
        self, start: Start, host: PhotoHost, receiver: Receiver
    ) -> None:
        receiver.statuses = [410]
        service = await start(notify_url=receiver.url, notify_schedule=SOON)
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: receiver.posts)
        await nothing_pending(service)
        assert len(receiver.posts) == 1

    async def test_redirects_are_not_followed(
        self, start: Start, host: PhotoHost, receiver: Receiver
    ) -> None:
        receiver.statuses, receiver.headers = [307], {"Location": "/elsewhere"}
        service = await start(notify_url=receiver.url, notify_schedule=())
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: receiver.posts)
        await nothing_pending(service)
        assert len(receiver.posts) == 1

    async def test_nothing_is_sent_to_a_forbidden_address(
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        url = receiver.url.replace("127.0.0.1", "127.0.0.2")
        allowed = ["127.0.0.1"]
        service = await start(notify_url=url, notify_schedule=(), allow_networks=allowed)
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: "why=forbidden_address" in caplog.text)
        assert receiver.posts == []

    async def test_an_endless_response_counts_by_its_status(
        self, start: Start, host: PhotoHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")

        async def pour(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            while True:
                await answer.write(b"x" * 65536)

        async with serving(pour) as origin:
            service = await start(notify_url=f"{origin}/hook")
            task_id = await service.submit(host.url("photo.png"))
            await until(lambda: f"task={task_id} event=notified" in caplog.text)

    async def test_a_receiver_that_does_not_answer_does_not_delay_others(
        self, start: Start, host: PhotoHost, receiver: Receiver, book: AccountBook
    ) -> None:
        keys = [await asyncio.to_thread(book.add, name) for name in ("slow", "quick")]
        answering = asyncio.Event()
        asked: list[int] = []

        async def keep_waiting(request: web.Request) -> web.Response:
            asked.append(1)
            await answering.wait()
            return web.Response()

        async with serving(keep_waiting) as origin:
            await asyncio.to_thread(book.notify, "slow", f"{origin}/hook")
            await asyncio.to_thread(book.notify, "quick", receiver.url)
            service = await start(workers=2)
            for key, count in zip(keys, (60, 3), strict=True):
                async with customer(service, key) as calls:
                    tasks = {await calls.submit(host.url("photo.png")) for _ in range(count)}
            await until(lambda: receiver.tasks == tasks)
            await until(lambda: len(asked) >= 4)
            assert len(asked) == 4
            answering.set()
            await until(lambda: len(asked) == 60)  # once all are rendered
            await nothing_pending(service)
            assert len(asked) == 60


@pytest.fixture
def book(tmp_path: Path) -> AccountBook:
    return AccountBook(tmp_path / "data")


@asynccontextmanager
async def customer(service: Running, key: str) -> AsyncIterator[Running]:
    async with aiohttp.ClientSession(headers={"APIKEY": key}) as session:
        yield Running(service.service, service.settings, session)


class TestUrls:
    async def test_each_account_has_its_own_url_and_secret(
        self, start: Start, host: PhotoHost, receiver: Receiver, book: AccountBook
    ) -> None:
        keys = {name: await asyncio.to_thread(book.add, name) for name in ("anna", "bob", "carl")}
        secrets = {
            name: await asyncio.to_thread(book.notify, name, f"{receiver.url}&{name}")
            for name in ("anna", "bob")
        }
        service = await start()
        tasks = {}
        for name, key in keys.items():
            async with customer(service, key) as calls:
                tasks[name] = await calls.submit(host.url("photo.png"))
                await calls.end_of(tasks[name])
        await nothing_pending(service)
        assert receiver.tasks == {tasks["anna"], tasks["bob"]}
        for name in ("anna", "bob"):
            [post] = [post for post in receiver.posts if post.task == tasks[name]]
            assert [other for other in secrets if post.is_signed_with(secrets[other])] == [name]

    async def test_pending_notifications_go_to_a_changed_url(
        self, start: Start, host: PhotoHost, receiver: Receiver, book: AccountBook
    ) -> None:
        key = await asyncio.to_thread(book.add, "anna")
        await asyncio.to_thread(book.notify, "anna", "http://127.0.0.1:1/hook")
        service = await start(notify_schedule=(0.01,) * 500)
        async with customer(service, key) as calls:
            task_id = await calls.submit(host.url("photo.png"))
            await calls.end_of(task_id)
        secret = await asyncio.to_thread(book.notify, "anna", receiver.url)
        await nothing_pending(service)
        [post] = receiver.posts
        assert post.task == task_id
        assert post.is_signed_with(secret)

    async def test_removing_the_url_drops_pending_notifications(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        key = await asyncio.to_thread(book.add, "anna")
        await asyncio.to_thread(book.notify, "anna", "http://127.0.0.1:1/hook")
        service = await start()
        async with customer(service, key) as calls:
            await calls.end_of(await calls.submit(host.url("photo.png")))
        assert await pending(service) == 1
        await asyncio.to_thread(book.stop_notifying, "anna")
        assert await pending(service) == 0


class TestKilled:
    """The service's process is killed."""

    @pytest.mark.slow
    async def test_pending_notifications_are_delivered_after_a_restart(
        self, tmp_path: Path, host: PhotoHost, receiver: Receiver
    ) -> None:
        receiver.refuses = True
        async with child(tmp_path, receiver.url) as service:
            tasks = {await service.submit(host.url("photo.png")) for _ in range(5)}
            await until(lambda: receiver.tasks == tasks)
        before = {(post.task, post.headers["webhook-id"], post.body) for post in receiver.posts}
        receiver.refuses = False
        receiver.posts.clear()
        async with child(tmp_path, receiver.url):
            await until(lambda: receiver.tasks == tasks)
        after = {(post.task, post.headers["webhook-id"], post.body) for post in receiver.posts}
        assert after == before

    @pytest.mark.slow
    async def test_every_task_is_notified_despite_repeated_kills(
        self, tmp_path: Path, host: PhotoHost, receiver: Receiver
    ) -> None:
        tasks = set()
        for _ in range(3):
            before = len(receiver.tasks)
            async with child(tmp_path, receiver.url) as service:
                tasks |= {await service.submit(host.url("photo.png")) for _ in range(6)}
                await until(lambda before=before: len(receiver.tasks) >= before + 3)  # type: ignore[misc] # mypy knows no type of a default
        async with child(tmp_path, receiver.url):
            await until(lambda: receiver.tasks == tasks)


@asynccontextmanager
async def child(folder: Path, notify_url: str) -> AsyncIterator[Running]:
    """A service in its own process, which is killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__).with_name("notifying_service.py"),
        folder / "data",
        notify_url,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        base_url = (await process.stdout.readline()).decode().strip()
        assert base_url
        async with aiohttp.ClientSession(headers={"APIKEY": KEY}) as session:
            yield Running(At(base_url), ServiceSettings(data_dir=folder), session)  # type: ignore[arg-type] # only its base URL is used
    finally:
        process.kill()
        await process.wait()


@define
class At:
    base_url: str


class TestSchedule:
    def test_the_default_schedule_is_the_example_of_standard_webhooks(self) -> None:
        minute, hour = 60, 3600
        assert ServiceSettings(data_dir="d").notify_schedule == (
            *(5, 5 * minute, 30 * minute, 2 * hour, 5 * hour),
            *(10 * hour, 14 * hour, 20 * hour, 24 * hour),
        )

    @given(attempts=st.integers(1, 12), retry_after=st.floats(0, 1e9), seed=st.integers(0, 2**32))
    def test_delays_have_jitter_on_top_and_retry_after_as_a_floor(
        self, attempts: int, retry_after: float, seed: int
    ) -> None:
        pause = retry_delay(attempts, RETRY_SCHEDULE, retry_after, random.Random(seed))
        if attempts > len(RETRY_SCHEDULE):
            assert pause is None
            return
        day, usual = 24 * 3600, RETRY_SCHEDULE[attempts - 1]
        assert pause is not None
        assert pause >= max(usual, min(retry_after, day))
        assert pause <= max(1.2 * usual, min(retry_after, day))

    @pytest.mark.parametrize("retry_after", WAITS)
    async def test_retry_after_postpones_the_next_attempt(
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        caplog: pytest.LogCaptureFixture,
        retry_after: str,
    ) -> None:
        receiver.refuses, receiver.headers = True, {"Retry-After": retry_after}
        service = await start(notify_url=receiver.url, notify_schedule=SOON)
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: f"next_in={WAITS[retry_after]}" in caplog.text)

"""Whoever wants to know that a task has ended is told, by real requests, whatever happens."""

import asyncio
import base64
import hashlib
import hmac
import json
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

from photoanimer_async.service import AccountBook, AccountError, RenderFailedError, ServiceSettings
from photoanimer_async.service.app_keys import DATABASE
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.notifying.notifier import pause_before
from photoanimer_async.service.notifying.signing import key_of, new_secret, signature_headers
from photoanimer_async.service.settings import RETRY_SCHEDULE
from photoanimer_async.service.storing import outbox as outbox_table

from ...support.stub_service import serving
from ..conftest import (
    KEY,
    InstantRenderer,
    PhotoHost,
    Running,
    Start,
    golden,
    until,
)

SOON = (0.01,) * 9


@define
class Post:
    """What a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def task(self) -> int:
        task_id: int = json.loads(self.body)["eventData"]["taskId"]
        return task_id

    def is_signed_with(self, secret: str) -> bool:
        """As the text of Standard Webhooks says, without a word of ours."""
        parts = self.headers["webhook-id"], self.headers["webhook-timestamp"], self.body.decode()
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, ".".join(parts).encode(), hashlib.sha256).digest()
        return self.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@define
class Receiver:
    """An app that takes notifications, or does not."""

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
    async with asyncio.timeout(30):
        while await pending(service):
            await asyncio.sleep(0.005)


class TestBody:
    async def test_a_finished_task_is_told_as_on_the_page(
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

    async def test_a_failed_task_is_told_with_its_status(
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

    async def test_nobody_is_told_without_an_address(self, start: Start, host: PhotoHost) -> None:
        service = await start()
        await service.end_of(await service.submit(host.url("photo.png")))
        assert await pending(service) == 0


class TestAttempts:
    async def test_it_is_sent_again_until_it_is_taken_and_no_secret_is_logged(
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

    async def test_it_is_given_up_after_the_last_attempt(
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

    async def test_it_is_given_up_at_once_where_it_is_unwanted(
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

    async def test_an_address_that_is_not_allowed_gets_nothing(
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

    async def test_an_answer_without_end_is_taken_by_its_status(
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

    async def test_one_that_does_not_answer_holds_up_no_other(
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
            assert len(asked) == 4
            answering.set()
            await nothing_pending(service)
            assert len(asked) == 60


@pytest.fixture
def book(tmp_path: Path) -> AccountBook:
    return AccountBook(tmp_path / "data")


@asynccontextmanager
async def customer(service: Running, key: str) -> AsyncIterator[Running]:
    async with aiohttp.ClientSession(headers={"APIKEY": key}) as session:
        yield Running(service.service, service.settings, session)


class TestAddresses:
    async def test_every_account_has_its_own_address_and_secret(
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

    async def test_an_address_that_is_put_right_gets_what_is_pending(
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

    async def test_without_an_address_what_is_pending_is_dropped(
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

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("ftp://example.com/hook", "its scheme is 'ftp'; allowed are http and https"),
            ("example.com/hook", "it has no scheme"),
            ("http://anna:pw@example.com/hook", "it holds a user or password"),
        ],
    )
    def test_what_is_no_address_is_refused(self, book: AccountBook, url: str, why: str) -> None:
        book.add("anna")
        with pytest.raises(AccountError, match=why):
            book.notify("anna", url)
        with pytest.raises(ValueError, match=rf"notify_url must be .*{why}"):
            ServiceSettings(data_dir="d", notify_url=url)

    def test_an_account_that_is_not_there_has_none(self, book: AccountBook) -> None:
        book.add("anna")
        with pytest.raises(AccountError, match="there is no account bob"):
            book.notify("bob", "http://127.0.0.1/")
        with pytest.raises(AccountError, match="there is no account bob"):
            book.stop_notifying("bob")


class TestKilled:
    """The process is killed in earnest."""

    async def test_what_was_pending_is_delivered_after_the_next_start(
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

    async def test_every_task_is_told_however_often_it_is_killed(
        self, tmp_path: Path, host: PhotoHost, receiver: Receiver
    ) -> None:
        tasks = set()
        for _ in range(4):
            told = len(receiver.tasks)
            async with child(tmp_path, receiver.url) as service:
                tasks |= {await service.submit(host.url("photo.png")) for _ in range(12)}
                await until(lambda told=told: len(receiver.tasks) >= told + 3)  # type: ignore[misc] # mypy knows no type of a default
        async with child(tmp_path, receiver.url):
            await until(lambda: receiver.tasks == tasks)


@asynccontextmanager
async def child(folder: Path, notify_url: str) -> AsyncIterator[Running]:
    """A service in a process of its own, which is killed at the end."""
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
            yield Running(At(base_url), ServiceSettings(data_dir=folder), session)  # type: ignore[arg-type] # only its address is asked for
    finally:
        process.kill()
        await process.wait()


@define
class At:
    base_url: str


class TestSchedule:
    def test_is_the_example_of_standard_webhooks(self) -> None:
        minute, hour = 60, 3600
        assert ServiceSettings(data_dir="d").notify_schedule == (
            *(5, 5 * minute, 30 * minute, 2 * hour, 5 * hour),
            *(10 * hour, 14 * hour, 20 * hour, 24 * hour),
        )

    @given(attempts=st.integers(1, 12), retry_after=st.floats(0, 1e9), seed=st.integers(0, 2**32))
    def test_pauses_are_a_little_longer_than_it_says_and_no_shorter_than_is_wanted(
        self, attempts: int, retry_after: float, seed: int
    ) -> None:
        pause = pause_before(attempts, RETRY_SCHEDULE, retry_after, random.Random(seed))
        if attempts > len(RETRY_SCHEDULE):
            assert pause is None
            return
        day, usual = 24 * 3600, RETRY_SCHEDULE[attempts - 1]
        assert pause is not None
        assert pause >= max(usual, min(retry_after, day))
        assert pause <= max(1.2 * usual, min(retry_after, day))

    async def test_who_asks_to_be_left_alone_is(
        self,
        start: Start,
        host: PhotoHost,
        receiver: Receiver,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        receiver.refuses, receiver.headers = True, {"Retry-After": "7200"}
        service = await start(notify_url=receiver.url, notify_schedule=SOON)
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: "next_in=7200.0" in caplog.text)
        receiver.headers = {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: "next_in=86400" in caplog.text)


class TestSignature:
    def test_is_that_of_the_reference(self) -> None:
        # The example of the libraries' own tests.
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        headers = signature_headers(
            "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret
        )
        assert headers == {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }

    def test_without_a_secret_there_is_none(self) -> None:
        assert "webhook-signature" not in signature_headers("task_1", 1, b"{}", None)

    def test_secrets_are_long_and_different(self) -> None:
        assert len({key_of(new_secret()) for _ in range(20)}) == 20

    @pytest.mark.parametrize("secret", ["", "hunter2", "whsec_c2hvcnQ=", "whsec_!", "x" * 60])
    def test_what_is_no_secret_is_refused_and_not_shown(self, secret: str) -> None:
        with pytest.raises(ValueError, match=r"notify_secret: a secret .* is whsec_") as error:
            ServiceSettings(data_dir="d", notify_secret=secret)
        assert not secret or secret not in str(error.value)

"""Who may use the service, what it costs them, and what they see of each other: nothing."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from photoanimer_async.service import (
    AccountBook,
    AccountError,
    Charging,
    Kind,
    LocalService,
    RenderFailedError,
    ServiceSettings,
    SetupError,
)
from photoanimer_async.service.error_codes import NO_FACE

from ..conftest import InstantRenderer, PhotoHost, Running, Start, until


@pytest.fixture
def book(tmp_path: Path) -> AccountBook:
    return AccountBook(tmp_path / "data")


@pytest.fixture(autouse=True)
def accounts_are_read_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoanimer_async.service.access.REFRESH_SECONDS", 0.02)


async def added(book: AccountBook, name: str, **limits: float) -> str:
    return await asyncio.to_thread(lambda: book.add(name, **limits))


class Customer:
    """Calls a service with a key."""

    def __init__(self, service: Running, key: str) -> None:
        self._service = service
        self._headers = {"APIKEY": key}

    async def get(self, path: str, **query: str) -> tuple[int, dict[str, Any], Any]:
        url = f"{self._service.service.base_url}/{path}"
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.get(url, params=query) as answer,
        ):
            return answer.status, await answer.json(), answer.headers

    async def call(self, path: str, **query: str) -> dict[str, Any]:
        _, envelope, _ = await self.get(path, **query)
        return envelope

    async def submit(self, image_url: str, template: int = 1) -> dict[str, Any]:
        return await self.call(
            "faceDriven/submitTaskByUrl", imageUrl=image_url, templateId=str(template)
        )

    async def balance(self) -> float:
        balance: float = (await self.call("mySubscription"))["data"]["videoBalance"]
        return balance

    async def end_of(self, task_id: int) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                info = await self.call("faceDriven/getTaskInfo", taskId=str(task_id))
                if info["data"]["status"] != 0:
                    data: dict[str, Any] = info["data"]
                    return data
                await asyncio.sleep(0.005)


class TestMoney:
    async def test_a_task_is_charged_when_it_is_accepted(
        self, start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
    ) -> None:
        key = await added(book, "anna", seconds=20)
        anna = Customer(await start(), key)
        renderer.gate = asyncio.Event()

        await anna.submit(host.url("photo.png"), 1)

        assert await anna.balance() == 12.87

    async def test_sums_are_exact(self, start: Start, host: PhotoHost, book: AccountBook) -> None:
        key = await added(book, "anna", seconds=31.3)
        anna = Customer(await start(), key)
        for _ in range(10):
            assert (await anna.submit(host.url("photo.png"), 0))["code"] == 0
        assert await anna.balance() == 0
        assert (await anna.submit(host.url("photo.png"), 0))["code"] == 4001

    async def test_what_can_not_be_paid_is_refused_and_nothing_is_fetched(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        key = await added(book, "anna", seconds=7)
        anna = Customer(await start(), key)
        envelope = await anna.submit(host.url("photo.png"), 1)
        assert envelope["code"] == 4001
        assert envelope["msg"] == (
            "Insufficient credits: templateId 1 costs 7.13 video seconds, the balance is 7"
        )
        assert host.requests == []

    async def test_submits_at_once_never_spend_more_than_there_is(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        key = await added(book, "anna", seconds=10)
        anna = Customer(await start(), key)
        envelopes = await asyncio.gather(*(anna.submit(host.url("photo.png"), 2) for _ in range(9)))
        assert sorted(envelope["code"] for envelope in envelopes) == [0] * 4 + [4001] * 5
        assert await anna.balance() == pytest.approx(10 - 4 * 2.13)

    @pytest.mark.parametrize(
        ("charging", "balances"),
        [
            (Charging.REFUND_FAILED, (6.25, 6.25, 10)),
            (Charging.KEEP_FAILED, (6.25, 6.25, 6.25)),
            (Charging.ON_SUCCESS, (10, 6.25, 10)),
        ],
    )
    async def test_when_it_is_charged_can_be_chosen(
        self,
        start: Start,
        host: PhotoHost,
        book: AccountBook,
        charging: Charging,
        balances: tuple[float, float, float],
    ) -> None:
        pending, finished, failed = balances
        keys = [await added(book, name, seconds=10) for name in ("anna", "bob")]
        renderer = InstantRenderer()
        service = await start(renderer, charging=charging)
        for key, error, expected in (
            (keys[0], None, finished),
            (keys[1], RenderFailedError(NO_FACE, "no face"), failed),
        ):
            customer = Customer(service, key)
            renderer.error, renderer.gate = error, asyncio.Event()
            task_id = (await customer.submit(host.url("photo.png"), 5))["data"]
            assert await customer.balance() == pending
            renderer.gate.set()
            await customer.end_of(task_id)
            assert await customer.balance() == expected

    async def test_charged_on_success_tasks_at_once_can_overdraw_and_no_more_is_taken_then(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        key = await added(book, "anna", seconds=3)
        renderer = InstantRenderer(gate=asyncio.Event())
        anna = Customer(await start(renderer, charging="on-success"), key)
        ids = [(await anna.submit(host.url("photo.png"), 2))["data"] for _ in range(2)]
        assert renderer.gate is not None
        renderer.gate.set()
        for task_id in ids:
            assert (await anna.end_of(task_id))["status"] == 1
        assert await anna.balance() == -1.26
        assert (await anna.submit(host.url("photo.png"), 2))["code"] == 4001

    async def test_the_ledger_tells_every_movement(
        self, start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
    ) -> None:
        key = await added(book, "anna", seconds=10)
        anna = Customer(await start(), key)
        renderer.error = RenderFailedError(NO_FACE, "no face")
        task_id = (await anna.submit(host.url("photo.png"), 5))["data"]
        await anna.end_of(task_id)

        entries = await asyncio.to_thread(book.entries, "anna")

        assert [(entry.kind, entry.seconds, entry.task_id) for entry in entries] == [
            (Kind.CREDIT, 10, None),
            (Kind.CHARGE, -3.75, task_id),
            (Kind.REFUND, 3.75, task_id),
        ]

    async def test_without_a_limit_the_balance_is_a_constant_and_the_ledger_is_kept(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        key = await added(book, "anna")
        anna = Customer(await start(video_balance=99), key)
        task_id = (await anna.submit(host.url("photo.png"), 5))["data"]
        assert await anna.balance() == 99
        [entry] = await asyncio.to_thread(book.entries, "anna")
        assert (entry.kind, entry.task_id) == (Kind.CHARGE, task_id)

    async def test_a_credit_can_be_spent_at_once(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        key = await added(book, "anna", seconds=1)
        anna = Customer(await start(), key)
        assert (await anna.submit(host.url("photo.png"), 2))["code"] == 4001
        assert await asyncio.to_thread(book.credit, "anna", 5) == 6
        assert (await anna.submit(host.url("photo.png"), 2))["code"] == 0


class TestIsolation:
    async def test_tasks_of_others_are_not_there(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        keys = [await added(book, name) for name in ("anna", "bob")]
        service = await start()
        anna, bob = Customer(service, keys[0]), Customer(service, keys[1])
        task_id = (await anna.submit(host.url("photo.png")))["data"]
        await anna.end_of(task_id)

        envelope = await bob.call("faceDriven/getTaskInfo", taskId=str(task_id))

        assert envelope["data"] is None
        assert (envelope["code"], envelope["msg"]) == (
            40004,
            f"there is no task with taskId {task_id}",
        )

    async def test_nor_are_those_of_the_time_when_the_service_was_open(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        service = await start()
        task_id = await service.submit(host.url("photo.png"))
        anna = Customer(service, await added(book, "anna"))
        await until(lambda: not service.service.is_open)
        envelope = await anna.call("faceDriven/getTaskInfo", taskId=str(task_id))
        assert envelope["code"] == 40004


class TestKeys:
    async def test_a_key_works_and_stops_working_while_the_service_runs(
        self, start: Start, book: AccountBook
    ) -> None:
        service = await start()
        assert service.service.is_open

        anna = Customer(service, await added(book, "anna"))
        await until(lambda: not service.service.is_open)
        assert (await anna.call("mySubscription"))["code"] == 0
        assert (await service.refusal("mySubscription"))[0] == 4003

        await asyncio.to_thread(book.revoke, "anna")
        async with asyncio.timeout(30):
            while (await anna.call("mySubscription"))["code"] == 0:
                await asyncio.sleep(0.02)
        # It does not open again: whoever had a key must not get in with any other.
        assert not service.service.is_open

    async def test_keys_of_the_settings_work_beside_those_of_accounts(
        self, start: Start, book: AccountBook
    ) -> None:
        key = await added(book, "anna", seconds=5)
        service = await start(keys={"from-the-settings"}, video_balance=77)
        assert await Customer(service, key).balance() == 5
        assert await Customer(service, "from-the-settings").balance() == 77
        assert (await Customer(service, "neither").call("mySubscription"))["code"] == 4003

    async def test_a_new_key_after_a_revoked_one_opens_the_same_account(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        old = await added(book, "anna", seconds=5)
        await asyncio.to_thread(book.revoke, "anna")
        new = await added(book, "anna", seconds=2)
        service = await start()
        assert await Customer(service, new).balance() == 7
        assert (await Customer(service, old).call("mySubscription"))["code"] == 4003

    def test_what_is_kept_of_a_key_is_not_the_key(self, book: AccountBook, tmp_path: Path) -> None:
        key = book.add("anna")
        assert len(key) > 40
        for path in (tmp_path / "data").iterdir():
            if path.is_file():
                assert key.encode() not in path.read_bytes()
                assert path.stat().st_mode & 0o077 == 0

    def test_keys_differ(self, book: AccountBook) -> None:
        assert len({book.add(f"customer {number}") for number in range(20)}) == 20

    def test_what_can_not_be_done_is_told(self, book: AccountBook, tmp_path: Path) -> None:
        book.add("anna")
        wrong: list[tuple[Callable[[], object], str]] = [
            (lambda: book.add("anna"), "anna has a key already; revoke it"),
            (lambda: book.add(""), "a name has 1 to 64 printable characters"),
            (lambda: book.add("a\nb"), "a name has 1 to 64 printable characters"),
            (lambda: book.revoke("bob"), "bob has no key"),
            (lambda: book.credit("bob", 1), "there is no account bob"),
            (lambda: book.entries("bob"), "there is no account bob"),
        ]
        for call, told in wrong:
            with pytest.raises(AccountError, match=told):
                call()
        assert [account.name for account in book.accounts()] == ["anna"]

    def test_looking_at_a_folder_that_is_none_makes_none(self, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="nowhere holds no accounts"):
            AccountBook(tmp_path / "nowhere").accounts()
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_that_can_not_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SetupError, match="can not be used: Not a directory"):
            AccountBook(tmp_path / "file" / "data").add("anna")


class TestRate:
    async def test_more_than_the_rate_gets_a_429_that_says_when(
        self, start: Start, book: AccountBook
    ) -> None:
        keys = [await added(book, "anna", rate=0.01), await added(book, "bob", rate=1000)]
        service = await start()
        anna, bob = Customer(service, keys[0]), Customer(service, keys[1])

        assert (await anna.call("mySubscription"))["code"] == 0
        status, envelope, headers = await anna.get("mySubscription")

        assert status == 429
        assert envelope["code"] == 42902
        assert envelope["msg"] == "the limit of this API key is 0.01 requests a second"
        assert 90 < int(headers["Retry-After"]) <= 100
        # The limit is each key's own.
        assert (await bob.call("mySubscription"))["code"] == 0


class TestOpen:
    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "animer.example"])
    async def test_beyond_loopback_a_service_without_keys_does_not_start(
        self, tmp_path: Path, host: str
    ) -> None:
        settings = ServiceSettings(data_dir=tmp_path / "data", host=host, port=0)
        with pytest.raises(SetupError, match="without keys the service is open to everybody"):
            await LocalService(settings, renderer=InstantRenderer()).__aenter__()

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_loopback(self, host: str) -> None:
        assert ServiceSettings(data_dir="d", host=host).is_on_loopback

    async def test_unless_an_account_has_a_key_or_it_is_wanted(
        self, start: Start, book: AccountBook, tmp_path: Path
    ) -> None:
        wanted = await start(data_dir=tmp_path / "open", host="0.0.0.0", open_to_network=True)
        assert wanted.service.is_open
        await added(book, "anna")
        closed = await start(host="0.0.0.0")
        assert not closed.service.is_open


class TestNotificationUrl:
    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("ftp://example.com/hook", "its scheme is 'ftp'; allowed are http and https"),
            ("example.com/hook", "it has no scheme"),
            ("http://anna:pw@example.com/hook", "it contains a user or password"),
        ],
    )
    def test_an_unsuitable_url_is_refused(self, book: AccountBook, url: str, why: str) -> None:
        book.add("anna")
        with pytest.raises(AccountError, match=why):
            book.notify("anna", url)
        with pytest.raises(ValueError, match=rf"notify_url must be .*{why}"):
            ServiceSettings(data_dir="d", notify_url=url)

    def test_an_unknown_account_is_an_error(self, book: AccountBook) -> None:
        book.add("anna")
        with pytest.raises(AccountError, match="there is no account bob"):
            book.notify("bob", "http://127.0.0.1/")
        with pytest.raises(AccountError, match="there is no account bob"):
            book.stop_notifying("bob")

"""API keys: which account a key belongs to, its rate limit, and what it can see."""

import asyncio
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from photoanimer_async.service import (
    Account,
    AccountBook,
    LocalService,
    RenderFailedError,
    ServiceSettings,
    SetupError,
)
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.service.rendering.renderer import RendererFaultError

from .conftest import (
    LONGEST_WAIT,
    Customer,
    InstantRenderer,
    PhotoHost,
    Running,
    Start,
    added,
    until,
)


class TestHeader:
    async def test_a_missing_or_empty_key_is_refused(self, service: Running) -> None:
        url = f"{service.service.base_url}/mySubscription"
        async with aiohttp.ClientSession() as session:
            for headers, found in (({}, "missing"), ({"APIKEY": " "}, "empty")):
                async with session.get(url, headers=headers) as response:
                    assert response.status == 200
                    envelope = await response.json()
                assert envelope["code"] == 4003
                assert envelope["msg"] == f"the header APIKEY is {found}; it must hold the API key"

    async def test_a_request_that_is_signed_in_place_of_a_key_gets_the_reason(
        self, service: Running, start: Start
    ) -> None:
        signed = "uid=7&signExpireTime=1615368038661&sign=" + "0" * 64
        async with aiohttp.ClientSession() as session:
            for path in ("mySubscription", "faceDriven/submitTaskByUrl", "faceDriven/getTaskInfo"):
                url = f"{service.service.base_url}/{path}?{signed}"
                async with session.get(url) as response:
                    envelope = await response.json()
                assert envelope["code"] == 4003
                assert "signed requests (uid, signExpireTime, sign) are not" in envelope["msg"]
                assert "only their digests; send the key in the header APIKEY" in envelope["msg"]
                async with session.get(url, headers={"APIKEY": "k"}) as response:
                    assert (await response.json())["code"] != 4003

    async def test_two_keys_are_one_if_they_are_equal(self, service: Running) -> None:
        url = f"{service.service.base_url}/mySubscription"
        async with aiohttp.ClientSession() as session:
            for second, code in (("a", 0), ("b", 4003)):
                headers = [("APIKEY", "a"), ("APIKEY", second)]
                async with session.get(url, headers=headers) as response:
                    assert (await response.json())["code"] == code

    async def test_any_key_is_accepted_if_none_are_set(self, service: Running) -> None:
        assert (await service.call("mySubscription"))["code"] == 0

    async def test_only_keys_of_the_settings_are_accepted(self, start: Start) -> None:
        strict = await start(keys={"another-key"})
        code, text = await strict.refusal("mySubscription")
        assert code == 4003
        assert text == "the API key in the header APIKEY is not accepted"
        async with strict.session.get(
            f"{strict.service.base_url}/mySubscription", headers={"APIKEY": "another-key"}
        ) as response:
            assert (await response.json())["code"] == 0

    async def test_every_interface_checks_the_key_first(self, service: Running) -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("faceDriven/submitTaskByUrl", "faceDriven/getTaskInfo"):
                async with session.get(f"{service.service.base_url}/{path}") as response:
                    assert (await response.json())["code"] == 4003


async def test_keys_are_added_and_revoked_while_the_service_runs(
    start: Start, book: AccountBook
) -> None:
    service = await start()
    assert service.service.is_open

    anna = Customer(service, await added(book, "anna"))
    await until(lambda: not service.service.is_open)
    assert (await anna.call("mySubscription"))["code"] == 0
    assert (await service.refusal("mySubscription"))[0] == 4003

    await asyncio.to_thread(book.revoke, "anna")
    async with asyncio.timeout(LONGEST_WAIT):
        while (await anna.call("mySubscription"))["code"] == 0:
            await asyncio.sleep(0.02)
    # It must not become open again: a revoked key would be accepted.
    assert not service.service.is_open


async def test_keys_of_settings_and_accounts_are_accepted(start: Start, book: AccountBook) -> None:
    key = await added(book, "anna", seconds=5)
    service = await start(keys={"from-the-settings"}, video_balance=77)
    assert await Customer(service, key).balance() == 5
    assert await Customer(service, "from-the-settings").balance() == 77
    assert (await Customer(service, "neither").call("mySubscription"))["code"] == 4003


async def test_a_new_key_after_a_revoked_one_has_the_same_account(
    start: Start, host: PhotoHost, book: AccountBook
) -> None:
    old = await added(book, "anna", seconds=5)
    await asyncio.to_thread(book.revoke, "anna")
    new = await added(book, "anna", seconds=2)
    service = await start()
    assert await Customer(service, new).balance() == 7
    assert (await Customer(service, old).call("mySubscription"))["code"] == 4003


class TestTroubleWithTheDatabase:
    """A key that may have been revoked meanwhile is not accepted."""

    async def test_keys_of_accounts_are_refused_while_accounts_cannot_be_read(
        self,
        start: Start,
        book: AccountBook,
        monkeypatch: pytest.MonkeyPatch,
        logged_errors: list[logging.LogRecord],
    ) -> None:
        key = await added(book, "anna")
        service = await start(keys={"own"})
        anna, own = Customer(service, key), Customer(service, "own")

        def fail(_: object) -> list[Account]:
            raise MemoryError("not only errors of SQLite")

        with monkeypatch.context() as broken:
            broken.setattr("photoanimer_async.service.access.named_accounts", fail)
            async with asyncio.timeout(LONGEST_WAIT):
                while (await anna.get("mySubscription"))[0] == 200:
                    await asyncio.sleep(0.02)
            status, envelope, headers = await anna.get("mySubscription")
            assert (status, envelope["code"]) == (503, 50302)
            assert int(headers["Retry-After"]) >= 1
            assert (await own.call("mySubscription"))["code"] == 0
        async with asyncio.timeout(LONGEST_WAIT):
            while (await anna.call("mySubscription"))["code"] != 0:
                await asyncio.sleep(0.02)
        assert {record.getMessage() for record in logged_errors} == {"event=accounts_not_read"}
        logged_errors.clear()

    async def test_a_reading_that_never_ends_is_a_failed_one(
        self,
        start: Start,
        book: AccountBook,
        monkeypatch: pytest.MonkeyPatch,
        logged_errors: list[logging.LogRecord],
    ) -> None:
        anna = Customer(service := await start(), await added(book, "anna"))
        await until(lambda: not service.service.is_open)
        gate = threading.Event()
        monkeypatch.setattr("photoanimer_async.service.access._READ_SECONDS", 0.05)
        with monkeypatch.context() as broken:
            broken.setattr(
                "photoanimer_async.service.access.named_accounts", lambda _: gate.wait(300) or []
            )
            async with asyncio.timeout(LONGEST_WAIT):
                while (await anna.get("faceDriven/getTaskInfo"))[0] == 200:
                    await asyncio.sleep(0.02)
            gate.set()
        logged_errors.clear()

    @pytest.mark.parametrize("rate", [-1.0, 0.0, 1e-300, float("inf")])
    async def test_a_rate_that_is_not_allowed_hides_no_revoked_key(
        self, start: Start, book: AccountBook, tmp_path: Path, rate: float
    ) -> None:
        keys = [await added(book, name, rate=5) for name in ("anna", "bob")]

        def spoil() -> None:
            with closing(sqlite3.connect(tmp_path / "data" / "tasks.db")) as database, database:
                database.execute("UPDATE account SET rate = ? WHERE name = 'bob'", (rate,))

        await asyncio.to_thread(spoil)
        service = await start()
        anna, bob = Customer(service, keys[0]), Customer(service, keys[1])
        assert [(await bob.get("mySubscription"))[0] for _ in range(2)] in ([200, 429], [200, 200])
        await asyncio.to_thread(book.revoke, "anna")
        async with asyncio.timeout(LONGEST_WAIT):
            while (await anna.call("mySubscription"))["code"] != 4003:
                await asyncio.sleep(0.05)


class TestIsolation:
    async def test_tasks_of_other_accounts_are_unknown(
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

    async def test_tasks_from_before_the_first_account_are_unknown(
        self, start: Start, host: PhotoHost, book: AccountBook
    ) -> None:
        service = await start()
        task_id = await service.submit(host.url("photo.png"))
        anna = Customer(service, await added(book, "anna"))
        await until(lambda: not service.service.is_open)
        envelope = await anna.call("faceDriven/getTaskInfo", taskId=str(task_id))
        assert envelope["code"] == 40004


async def test_more_requests_than_the_rate_get_429_with_retry_after(
    start: Start, book: AccountBook
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


@pytest.mark.parametrize(
    "error",
    [
        RenderFailedError(NO_FACE, "no face", processor_seconds=50),
        RendererFaultError("a mistake", processor_seconds=50),
    ],
)
async def test_processor_time_of_failed_tasks_counts_against_the_rate(  # noqa: PLR0917 - fixtures
    start: Start,
    host: PhotoHost,
    book: AccountBook,
    renderer: InstantRenderer,
    logged_errors: list[logging.LogRecord],
    error: Exception,
) -> None:
    keys = [await added(book, "anna", rate=1000), await added(book, "bob", rate=1000)]
    service = await start()
    anna, bob = Customer(service, keys[0]), Customer(service, keys[1])
    renderer.error = error
    await anna.submit(host.url("photo.png"))
    async with asyncio.timeout(LONGEST_WAIT):
        while (answer := await anna.get("mySubscription"))[0] == 200:
            await asyncio.sleep(0.005)
    status, envelope, headers = answer
    assert (status, envelope["code"]) == (429, 42902)
    assert int(headers["Retry-After"]) <= 50
    assert (await bob.get("mySubscription"))[0] == 200
    logged_errors.clear()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "animer.example"])
async def test_without_keys_the_service_starts_on_loopback_only(tmp_path: Path, host: str) -> None:
    settings = ServiceSettings(data_dir=tmp_path / "data", host=host, port=0)
    with pytest.raises(SetupError, match="without keys the service is open to everybody"):
        await LocalService(settings, renderer=InstantRenderer()).__aenter__()


async def test_with_a_key_or_open_to_network_it_starts_on_any_address(
    start: Start, book: AccountBook, tmp_path: Path
) -> None:
    wanted = await start(data_dir=tmp_path / "open", host="0.0.0.0", open_to_network=True)
    assert wanted.service.is_open
    await added(book, "anna")
    closed = await start(host="0.0.0.0")
    assert not closed.service.is_open

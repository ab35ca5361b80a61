"""Who may use the service, what it costs them, and what they see of each other: nothing."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from photoanimer_async.service import (
    AccountBook,
    AccountError,
    Charging,
    Kind,
    RenderFailedError,
    ServiceSettings,
    SetupError,
)
from photoanimer_async.service.error_codes import NO_FACE

from ..conftest import Customer, InstantRenderer, PhotoHost, Start, added


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


class TestKeys:
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
        with pytest.raises(SetupError, match="nowhere has no accounts"):
            AccountBook(tmp_path / "nowhere").accounts()
        assert not (tmp_path / "nowhere").exists()

    def test_a_folder_that_can_not_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SetupError, match="cannot be used: Not a directory"):
            AccountBook(tmp_path / "file" / "data").add("anna")


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

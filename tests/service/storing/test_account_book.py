"""Administration of accounts and their keys."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from photoanimer_async.service import (
    AccountBook,
    AccountError,
    ServiceSettings,
    SetupError,
)


def test_a_key_is_not_stored(book: AccountBook, tmp_path: Path) -> None:
    key = book.add("anna")
    assert len(key) > 40
    for path in (tmp_path / "data").iterdir():
        if path.is_file():
            assert key.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0


def test_keys_differ(book: AccountBook) -> None:
    assert len({book.add(f"customer {number}") for number in range(20)}) == 20


def test_errors(book: AccountBook, tmp_path: Path) -> None:
    book.add("anna")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: book.add("anna"), "anna has a key already; revoke it"),
        (lambda: book.add(""), "a name has 1 to 64 printable characters"),
        (lambda: book.add("a\nb"), "a name has 1 to 64 printable characters"),
        (lambda: book.revoke("bob"), "bob has no key"),
        (lambda: book.credit("bob", 1), "there is no account bob"),
        (lambda: book.entries("bob"), "there is no account bob"),
    ]
    for call, message in wrong:
        with pytest.raises(AccountError, match=message):
            call()
    assert [account.name for account in book.accounts()] == ["anna"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 1e-300, 1e300])
def test_numbers_out_of_range_are_refused_and_change_nothing(tmp_path: Path, number: float) -> None:
    book = AccountBook(tmp_path / "data")
    for what in ("seconds", "rate"):
        with pytest.raises(AccountError, match=f"{what} is .*; it must be between 0.001 and"):
            book.add("anna", **{what: number})
    assert not (tmp_path / "data").exists()
    book.add("anna", seconds=0, rate=0.001)
    with pytest.raises(AccountError, match="seconds is"):
        book.credit("anna", number)
    with pytest.raises(AccountError, match="rate is 0;"):
        book.add("bob", rate=0)
    assert [account.balance for account in book.accounts()] == [0]


def test_a_damaged_database_is_reported(book: AccountBook, tmp_path: Path) -> None:
    book.add("anna")
    path = tmp_path / "data" / "tasks.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(SetupError, match=r"tasks\.db is damaged"):
        book.accounts()
    with pytest.raises(SetupError, match=r"tasks\.db is damaged"):
        book.add("bob")


def test_a_database_in_use_is_reported(
    book: AccountBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.add("anna")
    monkeypatch.setattr("photoanimer_async.service.storing.database._BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / "data" / "tasks.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SetupError, match="data is in use by another program"):
            book.revoke("anna")


def test_reading_does_not_create_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nowhere has no accounts"):
        AccountBook(tmp_path / "nowhere").accounts()
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be used: Not a directory"):
        AccountBook(tmp_path / "file" / "data").add("anna")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/hook", "its scheme is 'ftp'; allowed are http and https"),
        ("example.com/hook", "it has no scheme"),
        ("http://anna:pw@example.com/hook", "it contains a user or password"),
    ],
)
def test_an_unsuitable_notification_url_is_refused(book: AccountBook, url: str, why: str) -> None:
    book.add("anna")
    with pytest.raises(AccountError, match=why):
        book.notify("anna", url)
    with pytest.raises(ValueError, match=rf"notify_url must be .*{why}"):
        ServiceSettings(data_dir="d", notify_url=url)


def test_notifications_of_an_unknown_account(book: AccountBook) -> None:
    book.add("anna")
    with pytest.raises(AccountError, match="there is no account bob"):
        book.notify("bob", "http://127.0.0.1/")
    with pytest.raises(AccountError, match="there is no account bob"):
        book.stop_notifying("bob")

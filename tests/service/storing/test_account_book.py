"""Administration of accounts and their keys."""

from collections.abc import Callable
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

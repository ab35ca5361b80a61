"""`photoanimer serve keys`, without a service that runs; see `test_serve` for one that does."""

import re

import pytest

from ..support.command_line import CommandLine

URL = "https://example.com/s3cret/hook?token=s3cret"


def test_the_list_shows_what_accounts_may_spend(photoanimer: CommandLine) -> None:
    photoanimer("serve", "keys", "add", "anna", "--seconds", "20", "--rate", "2.5")
    photoanimer("serve", "keys", "add", "bob")
    photoanimer("serve", "keys", "credit", "anna", "1.5")
    photoanimer("serve", "keys", "revoke", "bob")
    listed = photoanimer("serve", "keys", "list").stdout
    assert re.search(r"anna +21.50 +2.5 +valid", listed)
    assert re.search(r"bob +no limit +no limit +revoked", listed)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("list",), "photoanimer-data has no accounts: no service has run there"),
        (("revoke", "anna"), "photoanimer-data has no accounts"),
        (("add", "anna", "--seconds", "-1"), "seconds is -1; it must be between 0.001 and"),
        (("add", "anna", "--seconds", "inf"), "seconds is inf"),
        (("add", "anna", "--seconds", "1e300"), "seconds is 1e+300"),
        (("add", "anna", "--rate", "0"), "rate is 0; it must be between 0.001 and"),
        (("add", "anna", "--rate", "nan"), "rate is nan"),
        (("add", "anna", "--rate", "1e-300"), "rate is 1e-300"),
        (("credit", "anna", "inf"), "seconds is inf"),
        (("credit", "anna", "much"), "SECONDS"),
        (("add",), "NAME requires an argument"),
    ],
)
def test_wrong_use_creates_nothing(
    photoanimer: CommandLine, arguments: tuple[str, ...], text: str
) -> None:
    done = photoanimer("serve", "keys", *arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not (photoanimer.folder / "photoanimer-data").exists()


def test_a_second_key_for_a_name_is_refused(photoanimer: CommandLine) -> None:
    photoanimer("serve", "keys", "add", "anna")
    done = photoanimer("serve", "keys", "add", "anna")
    assert done.returncode == 2
    assert "anna has a key already; revoke it to give it a new one" in done.stderr


class TestNotifications:
    def test_each_url_has_a_secret_of_its_own(self, photoanimer: CommandLine) -> None:
        added = photoanimer("serve", "keys", "add", "anna", "--notify-url", URL)
        assert "The key of anna: pa_" in added.stdout
        changed = photoanimer("serve", "keys", "notify", "anna", URL)
        assert secret_in(added.stdout) != secret_in(changed.stdout)
        assert "s3cret" not in added.stdout + changed.stdout

    def test_the_list_shows_only_the_origin_of_a_url(self, photoanimer: CommandLine) -> None:
        photoanimer("serve", "keys", "add", "anna", "--notify-url", URL)
        photoanimer("serve", "keys", "add", "bob")
        listed = photoanimer("serve", "keys", "list").stdout
        assert re.search(r"anna .* valid +https://example\.com *\n", listed)
        assert re.search(r"bob .* valid +no *\n", listed)
        off = photoanimer("serve", "keys", "notify", "anna", "--off")
        assert off.stdout == "Notifications of anna are off.\n"
        assert "example.com" not in photoanimer("serve", "keys", "list").stdout

    def test_a_bad_url_is_refused_before_there_is_a_key(self, photoanimer: CommandLine) -> None:
        done = photoanimer("serve", "keys", "add", "anna", "--notify-url", "example.com/hook")
        assert done.returncode == 2
        assert "the URL for notifications is not allowed: it has no scheme" in done.stderr
        assert photoanimer("serve", "keys", "add", "anna").returncode == 0

    def test_either_a_url_or_off_is_needed(self, photoanimer: CommandLine) -> None:
        photoanimer("serve", "keys", "add", "anna")
        for arguments in ([], [URL, "--off"]):
            done = photoanimer("serve", "keys", "notify", "anna", *arguments)
            assert done.returncode == 2
            assert "give either a URL, or --off for none" in done.stderr
        done = photoanimer("serve", "keys", "notify", "bob", URL)
        assert done.returncode == 2
        assert "there is no account bob" in done.stderr


def secret_in(text: str) -> str:
    found = re.search(r"^Notifications to (\S+) are signed with: (whsec_\S+)$", text, re.MULTILINE)
    assert found is not None
    assert found[1] == "https://example.com"
    return found[2]

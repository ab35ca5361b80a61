"""`photoanimer serve keys`, where it is about addresses for notifications."""

import re

from .conftest import CommandLine

URL = "https://example.com/s3cret/hook?token=s3cret"


def secret_in(text: str) -> str:
    found = re.search(r"^What is posted to (\S+) is signed with: (whsec_\S+)$", text, re.MULTILINE)
    assert found is not None
    assert found[1] == "https://example.com"
    return found[2]


def test_a_key_with_an_address_comes_with_a_secret_and_each_address_with_another(
    photoanimer: CommandLine,
) -> None:
    added = photoanimer("serve", "keys", "add", "anna", "--notify-url", URL)
    assert "The key of anna: pa_" in added.stdout
    changed = photoanimer("serve", "keys", "notify", "anna", URL)
    assert secret_in(added.stdout) != secret_in(changed.stdout)
    assert "s3cret" not in added.stdout + changed.stdout


def test_the_list_shows_where_it_goes_and_no_more(photoanimer: CommandLine) -> None:
    photoanimer("serve", "keys", "add", "anna", "--notify-url", URL)
    photoanimer("serve", "keys", "add", "bob")
    listed = photoanimer("serve", "keys", "list").stdout
    assert re.search(r"anna .* valid +https://example\.com *\n", listed)
    assert re.search(r"bob .* valid +nowhere *\n", listed)
    off = photoanimer("serve", "keys", "notify", "anna", "--off")
    assert off.stdout == "Nobody is told any more when tasks of anna end.\n"
    assert "example.com" not in photoanimer("serve", "keys", "list").stdout


def test_what_is_no_address_is_told_before_there_is_a_key(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "keys", "add", "anna", "--notify-url", "example.com/hook")
    assert done.returncode == 2
    assert "the address for notifications is not allowed: it has no scheme" in done.stderr
    assert photoanimer("serve", "keys", "add", "anna").returncode == 0


def test_either_a_url_or_none(photoanimer: CommandLine) -> None:
    photoanimer("serve", "keys", "add", "anna")
    for arguments in ([], [URL, "--off"]):
        done = photoanimer("serve", "keys", "notify", "anna", *arguments)
        assert done.returncode == 2
        assert "either give a URL, or --off for none" in done.stderr
    done = photoanimer("serve", "keys", "notify", "bob", URL)
    assert done.returncode == 2
    assert "there is no account bob" in done.stderr


def test_an_address_for_metrics_that_is_none_is_told(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "--metrics", "nowhere")
    assert done.returncode == 2
    assert "it has to be a port or HOST:PORT" in done.stderr

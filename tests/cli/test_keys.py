"""`photoanimer serve keys`, beside a service that runs and without one."""

import re
import time

import pytest

from .conftest import CommandLine, rest_of
from .test_serve import balance_code, serving


def key_of(said: str) -> str:
    found = re.search(r"The key of .*: (pa_\S+)", said)
    assert found is not None, said
    return found[1]


def until_answered(base_url: str, key: str, code: int) -> None:
    deadline = time.monotonic() + 30
    while balance_code(base_url, key) != code:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_key_works_as_long_as_it_is_not_revoked(photoanimer: CommandLine) -> None:
    process, base_url = serving(photoanimer)
    assert balance_code(base_url, "any") == 0

    key = key_of(photoanimer("serve", "keys", "add", "anna", "--seconds", "20").stdout)
    until_answered(base_url, "any", 4003)
    assert balance_code(base_url, key) == 0

    assert photoanimer("serve", "keys", "revoke", "anna").returncode == 0
    until_answered(base_url, key, 4003)

    process.terminate()
    said, log = rest_of(process)
    assert key not in said + log


def test_with_a_key_it_listens_beyond_this_machine(photoanimer: CommandLine) -> None:
    refused = photoanimer("serve", "--port", "0", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "without keys the service is open to everybody" in refused.stderr

    key = key_of(photoanimer("serve", "keys", "add", "anna").stdout)
    process, base_url = serving(photoanimer, "--host", "0.0.0.0")
    assert balance_code(base_url, key) == 0
    process.terminate()
    said, _ = rest_of(process)
    assert "It is open to those who have a key." in said


def test_the_list(photoanimer: CommandLine) -> None:
    photoanimer("serve", "keys", "add", "anna", "--seconds", "20", "--rate", "2.5")
    photoanimer("serve", "keys", "add", "bob")
    photoanimer("serve", "keys", "credit", "anna", "1.5")
    photoanimer("serve", "keys", "revoke", "bob")
    listed = photoanimer("serve", "keys", "list").stdout
    assert re.search(r"anna +21.50 +2.5 +valid", listed)
    assert re.search(r"bob +no limit +no limit +revoked", listed)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list",), "photoanimer-data holds no accounts: no service has run there"),
        (("revoke", "anna"), "photoanimer-data holds no accounts"),
        (("add", "anna", "--seconds", "-1"), "Must be >= 0"),
        (("add", "anna", "--rate", "0"), "Must be > 0"),
        (("credit", "anna", "much"), "SECONDS"),
        (("add",), "NAME requires an argument"),
    ],
)
def test_wrong_use_is_told(photoanimer: CommandLine, arguments: tuple[str, ...], told: str) -> None:
    done = photoanimer("serve", "keys", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (photoanimer.folder / "photoanimer-data").exists()


def test_a_second_key_for_a_name_is_refused(photoanimer: CommandLine) -> None:
    photoanimer("serve", "keys", "add", "anna")
    done = photoanimer("serve", "keys", "add", "anna")
    assert done.returncode == 2
    assert "anna has a key already; revoke it to give it a new one" in done.stderr


def test_tasks_must_be_known_as_long_as_their_results(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "--task-days", "3")
    assert done.returncode == 2
    assert "--task-days is 3; it must not be less than --result-days, which is 7" in done.stderr

"""`photoanimer serve`."""

import json
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from photoanimer_async.cli.serve import fetched_from
from photoanimer_async.cli.serve_options import (
    AccessOptions,
    LimitOptions,
    RenderOptions,
    ReportOptions,
    service_settings,
)

from ..support.command_line import PATIENCE, CommandLine, rest_of


def balance_code(base_url: str, key: str) -> int:
    request = urllib.request.Request(f"{base_url}/mySubscription", headers={"APIKEY": key})
    with urllib.request.urlopen(request) as answer:
        code: int = json.load(answer)["code"]
        return code


def until_answered(base_url: str, key: str, code: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while balance_code(base_url, key) != code:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_runs_until_a_signal(photoanimer: CommandLine, stop: signal.Signals) -> None:
    process, base_url = photoanimer.serve()
    assert balance_code(base_url, "any") == 0
    process.send_signal(stop)
    printed, log = rest_of(process)
    assert process.returncode == 0
    assert "It is open: any API key is accepted" in printed
    assert f"curl -H 'APIKEY: any-key-will-do' '{base_url}/faceDriven/submitTaskByUrl?" in printed
    assert "Photos are fetched from global addresses and this machine.\n" in printed
    page = base_url.removesuffix("/api/v1") + "/docs"
    assert f"Its interfaces, parameters and error codes are at {page}.\n" in printed
    assert printed.rstrip().endswith("Stopped.")
    assert "Traceback" not in log
    assert (photoanimer.folder / "photoanimer-data").is_dir()


@pytest.mark.slow
def test_a_key_is_accepted_until_it_is_revoked(photoanimer: CommandLine) -> None:
    process, base_url = photoanimer.serve()
    assert balance_code(base_url, "any") == 0

    added = photoanimer("serve", "keys", "add", "anna", "--seconds", "20").stdout
    key = added.partition("The key of anna: ")[2].partition("\n")[0]
    assert key.startswith("pa_")
    until_answered(base_url, "any", 4003)
    assert balance_code(base_url, key) == 0

    assert photoanimer("serve", "keys", "revoke", "anna").returncode == 0
    until_answered(base_url, key, 4003)

    process.terminate()
    printed, log = rest_of(process)
    assert key not in printed + log


@pytest.mark.slow
def test_with_keys_it_listens_beyond_this_machine_and_warns(photoanimer: CommandLine) -> None:
    photoanimer.environment["PHOTOANIMER_SERVICE_KEYS"] = "key-one key-two"
    added = photoanimer("serve", "keys", "add", "anna").stdout
    key = added.partition("The key of anna: ")[2].partition("\n")[0]
    process, base_url = photoanimer.serve("--host", "0.0.0.0")
    assert [balance_code(base_url, good) for good in (key, "key-two")] == [0, 0]
    assert balance_code(base_url, "any") != 0
    process.terminate()
    printed, log = rest_of(process)
    assert "It accepts only the keys that it knows." in printed
    assert "Warning: other machines can reach this service" in printed
    assert "key-" not in printed + log


def test_faults_happen_as_they_are_written(photoanimer: CommandLine) -> None:
    script = "balance 2: refuse 4001; poll every 20: reset"
    process, base_url = photoanimer.serve("--fault", script, "--fault", "balance 3: html")
    assert [balance_code(base_url, "any") for _ in range(2)] == [0, 4001]
    with urllib.request.urlopen(f"{base_url}/mySubscription") as answer:
        assert answer.headers.get_content_type() == "text/html"
    process.terminate()
    printed, log = rest_of(process)
    assert "Fault: poll every 20: reset\nFault: balance 3: html\n" in printed
    assert "event=fault at=balance number=2 fault='refuse 4001'" in log


@pytest.mark.parametrize(
    ("networks", "shown"),
    [
        (None, "global addresses and this machine"),
        ([], "global addresses"),
        (["192.168.0.0/16"], "global addresses and 192.168.0.0/16"),
    ],
)
def test_the_networks_of_photos_are_shown(networks: list[str] | None, shown: str) -> None:
    access = AccessOptions(allow_network=networks)
    settings = service_settings(
        Path("data"), access, RenderOptions(), LimitOptions(), ReportOptions()
    )
    assert fetched_from(settings) == shown


def test_weights_are_written_as_name_and_number(photoanimer: CommandLine) -> None:
    limits = LimitOptions(weight=["anna=2", "a=b=0.5"])
    settings = service_settings(
        Path("data"), AccessOptions(), RenderOptions(), limits, ReportOptions()
    )
    assert settings.weights == {"anna": 2.0, "a=b": 0.5}
    for wrong in ("anna", "anna=", "anna=much", "anna=0", "anna=nan", "anna=inf", "anna=1e-9"):
        done = photoanimer("serve", "--weight", wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "weight" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--result-days", "--task-days", "--drain"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e300"])
def test_numbers_out_of_range_are_one_line(
    photoanimer: CommandLine, option: str, number: str
) -> None:
    done = photoanimer("serve", f"{option}={number}")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert not (photoanimer.folder / "photoanimer-data").exists()


@pytest.mark.parametrize("option", ["--result-days", "--task-days"])
def test_days_that_are_too_short_are_one_line(photoanimer: CommandLine, option: str) -> None:
    done = photoanimer("serve", f"{option}=1e-9")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("damage", ["header", "middle", "half"])
def test_a_damaged_database_is_one_line(photoanimer: CommandLine, damage: str) -> None:
    photoanimer("serve", "keys", "add", "anna")
    path = photoanimer.folder / "photoanimer-data" / "tasks.db"
    content = path.read_bytes()
    damaged = {
        "header": b"x" * 100 + content[100:],
        "middle": content[:4096] + b"x" * (len(content) - 4096),
        "half": content[: len(content) // 2],
    }
    path.write_bytes(damaged[damage])
    for command in (("serve",), ("serve", "keys", "list"), ("serve", "keys", "add", "bob")):
        done = photoanimer(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "tasks.db is damaged" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_what_is_in_the_data_folder_by_mistake_is_one_line(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "photoanimer-data" / "inputs" / "mine").mkdir(parents=True)
    done = photoanimer("serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert "photoanimer-data cannot be used" in done.stderr


def test_a_port_in_use_is_one_line(photoanimer: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = photoanimer("serve", "--port", str(port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"port {port} of 127.0.0.1 is in use; choose another with --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_as_the_data_folder_is_wrong_use(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "file").write_text("")
    done = photoanimer("serve", "--port", "0", "--data", "file")
    assert done.returncode == 2
    assert "file cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_in_a_fault_script_shows_its_place(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "--port", "0", "--fault", "submit 3: restart after")
    assert done.returncode == 2
    assert "column 11: found 'restart'; allowed are: status, refuse, html, reset" in done.stderr
    assert "\n  submit 3: restart after\n            ^" in done.stderr
    assert "Traceback" not in done.stderr

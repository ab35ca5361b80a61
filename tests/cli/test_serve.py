"""`photoanimer serve`."""

import json
import signal
import socket
import subprocess
import urllib.request

import pytest

from .conftest import CommandLine, default_interrupt, rest_of


def serving(command: CommandLine, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A running `photoanimer serve`, and its base URL."""
    process = command.start("serve", "--port", "0", *arguments, preexec_fn=default_interrupt)
    assert process.stdout is not None
    return process, process.stdout.readline().rpartition(" ")[2].strip()


def balance_code(base_url: str, key: str) -> int:
    request = urllib.request.Request(f"{base_url}/mySubscription", headers={"APIKEY": key})
    with urllib.request.urlopen(request) as answer:
        code: int = json.load(answer)["code"]
        return code


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(photoanimer: CommandLine, stop: signal.Signals) -> None:
    process, base_url = serving(photoanimer)
    assert balance_code(base_url, "any") == 0
    process.send_signal(stop)
    said, log = rest_of(process)
    assert process.returncode == 0
    assert "It is open: any API key is accepted" in said
    assert f"curl -H 'APIKEY: any-key-will-do' '{base_url}/faceDriven/submitTaskByUrl?" in said
    assert said.rstrip().endswith("Stopped.")
    assert "Traceback" not in log
    assert (photoanimer.folder / "photoanimer-data").is_dir()


def test_a_port_in_use_is_told(photoanimer: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = photoanimer("serve", "--port", str(port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"port {port} of 127.0.0.1 is in use; choose another with --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_can_not_be_used_is_told(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "file").write_text("")
    done = photoanimer("serve", "--port", "0", "--data", "file")
    assert done.returncode == 2
    assert "file cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_beyond_this_machine_it_warns_and_keeps_its_keys_to_itself(
    photoanimer: CommandLine,
) -> None:
    photoanimer.environment["PHOTOANIMER_SERVICE_KEYS"] = "key-one key-two"
    process, base_url = serving(photoanimer, "--host", "0.0.0.0")
    assert balance_code(base_url, "key-two") == 0
    assert balance_code(base_url, "any") != 0
    process.terminate()
    said, log = rest_of(process)
    assert "Warning: other machines can reach this service" in said
    assert "key-" not in said + log


def test_an_engine_that_is_not_installed_is_told(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "--port", "0", "--engine", "live", "--all-faces")
    assert done.returncode == 2
    assert "no engine 'live' is installed; there are: warp" in done.stderr


@pytest.mark.parametrize(
    ("options", "sources"),
    [
        ([], "global addresses and this machine"),
        (["--global-only"], "global addresses"),
        (["--allow-network", "192.168.0.0/16"], "global addresses and 192.168.0.0/16"),
    ],
)
def test_it_says_where_it_fetches_from(
    photoanimer: CommandLine, options: list[str], sources: str
) -> None:
    process, _ = serving(photoanimer, *options)
    process.terminate()
    assert f"Photos are fetched from {sources}.\n" in rest_of(process)[0]


def test_faults_happen_as_they_are_written(photoanimer: CommandLine) -> None:
    script = "balance 2: refuse 4001; poll every 20: reset"
    process, base_url = serving(photoanimer, "--fault", script, "--fault", "balance 3: html")
    assert [balance_code(base_url, "any") for _ in range(2)] == [0, 4001]
    with urllib.request.urlopen(f"{base_url}/mySubscription") as answer:
        assert answer.headers.get_content_type() == "text/html"
    process.terminate()
    said, log = rest_of(process)
    assert "Fault: poll every 20: reset\nFault: balance 3: html\n" in said
    assert "event=fault at=balance number=2 fault='refuse 4001'" in log


def test_a_fault_that_means_nothing_is_told(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "--port", "0", "--fault", "submit 3: restart after")
    assert done.returncode == 2
    assert "column 11: found 'restart'; allowed are: status, refuse, html, reset" in done.stderr
    assert "\n  submit 3: restart after\n            ^" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_address_for_notifications_is_told(photoanimer: CommandLine) -> None:
    done = photoanimer("serve", "--port", "0", "--notify-url", "example.com/hook")
    assert done.returncode == 2
    assert "notify_url must be an http or https URL" in done.stderr

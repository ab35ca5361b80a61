"""RUNNING.md: the files beside it start a service that answers, and the page's numbers are true."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.service import AccountBook, ServiceSettings
from photoanimer_async.service.http.metrics import Metrics

from ..support.command_line import COMMAND
from ..support.pages import ROOT, page
from ..support.ports import free_port

PAGE = page("service/RUNNING.md")
ROOM = ROOT / "photoanimer_async" / "service"
PATIENCE = 120


def containerfile() -> dict[str, list[str]]:
    """The arguments of each instruction, in their order."""
    text = (ROOM / "Containerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            instruction, _, arguments = line.partition(" ")
            found.setdefault(instruction, []).append(arguments)
    return found


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    parser.read(ROOM / "photoanimer.service")
    return parser["Service"]


def here(command: Sequence[str], folder: Path, ports: dict[str, str]) -> list[str]:
    """A command with this installation, a folder and free ports in place of its own."""
    words = [str(COMMAND) if word.endswith("photoanimer") else word for word in command]
    words[words.index("--data") + 1] = str(folder)
    words[words.index("--metrics") + 1] = ports["9464"]
    return [*words, "--port", ports["8765"]]


@contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def until_healthy(port: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
                assert json.load(answer) == {"status": "ok"}
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("8765", "9464")}


def test_what_the_containerfile_copies_exists_and_its_commands_are_shell() -> None:
    for arguments in containerfile()["COPY"]:
        *sources, _ = arguments.split()
        assert all((ROOT / source).exists() for source in sources)
    for command in containerfile()["RUN"]:
        subprocess.run(["sh", "-n", "-c", command], check=True)
    extras = set(containerfile()["ARG"][0].partition("=")[2].split(","))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extras <= set(project["optional-dependencies"])
    assert containerfile()["EXPOSE"] == [str(ServiceSettings(data_dir="data").port)]


@pytest.mark.slow
def test_the_containers_command_starts_a_service_and_its_check_finds_it(
    tmp_path: Path, ports: dict[str, str]
) -> None:
    command = here(json.loads(containerfile()["CMD"][0]), tmp_path, ports)
    refused = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == ExitStatus.WRONG_USE
    assert "add a key first" in refused.stderr
    AccountBook(tmp_path).add("anna")
    [check] = containerfile()["HEALTHCHECK"]
    program, *rest = json.loads(check.partition("CMD ")[2].replace("9464", ports["9464"]))
    assert program == "python"  # the container's; some machines have none of this name
    words = [sys.executable, *rest]
    assert subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode != 0
    with running(command, tmp_path):
        until_healthy(ports["9464"])
        subprocess.run(words, check=True)


def test_the_units_command_starts_a_service(tmp_path: Path, ports: dict[str, str]) -> None:
    with running(here(shlex.split(unit()["ExecStart"]), tmp_path, ports), tmp_path):
        until_healthy(ports["9464"])


def test_the_unit_knows_the_services_numbers() -> None:
    settings = ServiceSettings(data_dir="data")
    assert unit()["RestartPreventExitStatus"] == str(int(ExitStatus.WRONG_USE))
    assert float(unit()["TimeoutStopSec"]) > settings.drain_seconds
    assert int(unit()["LimitNOFILE"]) >= 2 * settings.connections
    assert (
        unit()["ExecStart"].split("--data ")[1].startswith(f"/var/lib/{unit()['StateDirectory']}")
    )


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("missing: systemd-analyze")
    installed = tmp_path / "photoanimer.service"
    text = (ROOM / "photoanimer.service").read_text()
    installed.write_text(text.replace("/opt/photoanimer/bin/photoanimer", str(COMMAND)))
    done = subprocess.run(
        [program, "verify", "--man=no", installed], check=False, capture_output=True, text=True
    )
    assert "photoanimer.service" not in done.stderr


def test_the_page_names_metrics_that_exist() -> None:
    known = {metric.name for metric in Metrics().registry.collect()}
    named = set(re.findall(r"`(photoanimer_[a-z_]+)", PAGE.text))
    assert {name.removesuffix("_total") for name in named} <= known


def test_the_page_has_the_versions_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    floors: dict[str, str] = dict(
        re.findall(r"^([\w-]+)>=([\w.]+)", "\n".join(wanted), re.MULTILINE)
    )
    table = dict(re.findall(r"^\| ([\w-]+) \| (\d[\d.]+) \|", PAGE.text, flags=re.MULTILINE))
    assert len(table) == 6
    for name, version in table.items():
        assert floors[name.lower()].rstrip(",") == version

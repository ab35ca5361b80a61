"""The pytest plugin, in the project of an app's author."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow  # runs of pytest in new processes

APP = """
from photoanimer_async import PhotoAnimerClient

async def animate(photo, template):
    async with PhotoAnimerClient() as client:
        task_id = await client.submit(photo, template=template)
        return (await client.get_task_info(task_id)).result_url
"""
PASSING = """
import asyncio
import os

import pytest
import requests

from app import animate

def test_blocking_client(photo_animer):
    query = {"imageUrl": "https://example.com/a.jpg", "templateId": 4}
    answer = requests.get(
        f"{os.environ['PHOTOANIMER_BASE_URL']}/faceDriven/submitTaskByUrl",
        params=query,
        headers={"APIKEY": os.environ["PHOTOANIMER_API_KEY"]},
        timeout=30,
    )
    assert answer.json()["code"] == 0
    assert photo_animer.ledger.seconds == 4.38

def test_loop_of_its_own(photo_animer):
    url = asyncio.run(animate("https://example.com/a.jpg", 1))
    assert url.startswith(photo_animer.base_url.removesuffix("/api/v1"))

@pytest.mark.asyncio
async def test_loop_of_pytest_asyncio(photo_animer):
    assert (await animate("https://example.com/a.jpg", 1)).endswith(".mp4")
    assert photo_animer.ledger.seconds == 7.13

def test_environment_afterwards():
    assert "127.0.0.1" not in os.environ.get("PHOTOANIMER_BASE_URL", "")

def test_unused_on_purpose(photo_animer):
    photo_animer.script("submit 2: reset after", must_be_used=False)
"""
FAILING = """
import asyncio

from app import animate

def test_failure(photo_animer):
    photo_animer.script("task 1: takes 2 polls; submit 2: html")
    assert asyncio.run(animate("https://example.com/a.jpg?token=s3cret", 1))

def test_unused_rule(photo_animer):
    photo_animer.script("submit 2: reset after")
    asyncio.run(animate("https://example.com/a.jpg", 1))

def test_syntax_error(photo_animer):
    photo_animer.script("submit 3: restart after")
"""
WITHOUT_EXTRAS = """
import sys

for name in ("numpy", "cv2", "av", "onnxruntime", "PIL", "rich", "cyclopts", "uvloop"):
    sys.modules[name] = None
"""
MINIMAL = """
import asyncio
import sys

def test_nothing_is_imported_before_the_fixture_is_used():
    loaded = {name for name in sys.modules if name.startswith("photoanimer_async")}
    assert loaded == {"photoanimer_async", "photoanimer_async.pytest_plugin"}
    assert not {"aiohttp", "attrs", "cattrs", "backoff"} & sys.modules.keys()

def test_app(photo_animer):
    from app import animate

    assert asyncio.run(animate("https://example.com/a.jpg", 1)).endswith(".mp4")
"""


@frozen
class Run:
    """A run of pytest: the last outcome of each test, and the whole output."""

    outcomes: Mapping[str, str]
    output: str


def run_pytest(folder: Path, *arguments: str, **files: str) -> Run:
    """Run pytest in a new process, in a project with these files."""
    for name, content in {"app": APP, **files}.items():
        (folder / f"{name}.py").write_text(content)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *arguments]
    output = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=600
    ).stdout
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", output, flags=re.MULTILINE)
    return Run({test: outcome for outcome, test in found}, output)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("project")
    return run_pytest(folder, test_passing=PASSING, test_failing=FAILING)


@pytest.mark.parametrize(
    "test",
    [
        "test_blocking_client",
        "test_loop_of_its_own",
        "test_loop_of_pytest_asyncio",
        "test_environment_afterwards",
        "test_unused_on_purpose",
    ],
)
def test_blocking_and_async_tests_are_served(run: Run, test: str) -> None:
    assert run.outcomes[test] == "PASSED", run.output


def test_a_failed_test_shows_the_requests(run: Run) -> None:
    assert run.outcomes["test_failure"] == "FAILED"
    assert "--- Requests to photo_animer ---" in run.output
    lines = """
submit 1 (task 1) https://example.com/a.jpg?…: accepted, 7.13 video seconds
poll 1 (task 1): processing
"""
    assert lines in run.output


def test_a_rule_that_was_never_applied_is_an_error(run: Run) -> None:
    assert run.outcomes["test_unused_rule"] == "ERROR"
    assert "UnusedRulesError: never applied: 'submit 2: reset after'." in run.output


def test_a_syntax_error_of_a_script_shows_where(run: Run) -> None:
    assert run.outcomes["test_syntax_error"] == "FAILED"
    assert "ScriptError: fault script, column 11: found 'restart'; allowed are:" in run.output
    assert re.search(r"^E( +)submit 3: restart after\nE\1 {10}\^$", run.output, re.MULTILINE)


def test_neither_extras_nor_other_plugins_are_needed(tmp_path: Path) -> None:
    options = ("-p", "no:asyncio", "-p", "no:hypothesispytest")
    run = run_pytest(tmp_path, *options, conftest=WITHOUT_EXTRAS, test_minimal=MINIMAL)
    assert set(run.outcomes.values()) == {"PASSED"}, run.output
    assert len(run.outcomes) == 2


def test_the_plugin_can_be_turned_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_app(photo_animer): pass")
    done = pytester.runpytest_inprocess("-p", "no:photoanimer", "-p", "no:asyncio")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'photo_animer' not found"])

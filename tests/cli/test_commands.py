"""Help, and the errors of commands that are used wrongly."""

import subprocess
import sys
from urllib.parse import urlsplit

import pytest

import photoanimer_async
from photoanimer_async.cli.commands import build_app

from ..support.command_line import CommandLine
from .conftest import Service, png

MOST_MODULES = 250
"""Most of them are Python's, cyclopts' and rich's. To read Markdown takes 90 more."""

COMMANDS = (
    *("demo", "animate", "resume", "status", "estimate", "wait", "balance", "serve", "studio"),
)

HEAVY = {"aiohttp", "av", "cv2", "numpy", "onnxruntime", "PIL"}


def test_help_names_the_commands_in_the_order_of_use(photoanimer: CommandLine) -> None:
    done = photoanimer.run_process("--help")
    assert done.returncode == 0
    places = [done.stdout.index(f"│ {name} ") for name in ("demo", "animate", "wait", "serve")]
    assert places == sorted(places)


def test_help_of_a_command_lists_its_exit_statuses(photoanimer: CommandLine) -> None:
    done = photoanimer("animate", "--help")
    assert done.returncode == 0
    assert "PHOTO..." in done.stdout
    assert "1 if some failed" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", ["animate", "resume"])
def test_animate_and_resume_share_how_photos_are_sent(
    photoanimer: CommandLine, command: str
) -> None:
    shown = photoanimer(command, "--help").stdout
    for option in ("no-prepare", "check-urls", "host", "max-seconds", "retry-failed", "api-key"):
        assert f"--{option} " in shown


def test_every_argument_and_option_has_a_help_text() -> None:
    without = [
        f"{command} {argument.name}"
        for command in COMMANDS
        for argument in build_app()[command].assemble_argument_collection()
        if argument.show and not argument.parameter.help
    ]
    assert without == []


@pytest.mark.parametrize("command", ["resume", "status"])
def test_a_journal_is_no_option(photoanimer: CommandLine, command: str) -> None:
    assert "--JOURNAL" not in photoanimer(command, "--help").stdout


def test_version(photoanimer: CommandLine) -> None:
    assert photoanimer("--version").stdout.strip() == photoanimer_async.__version__


def test_help_loads_neither_engine_nor_service_nor_client() -> None:
    program = (
        "import sys\n"
        "from photoanimer_async.cli.commands import run\n"
        "run(['--help'])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "photoanimer_async.cli.commands" in loaded
    assert len(loaded) <= MOST_MODULES
    assert {name.split(".")[0] for name in loaded} & HEAVY == set()
    assert {name for name in loaded if ".engine" in name or ".service" in name} == set()


def test_animate_and_demo_start_workers_before_the_client_and_the_service_are_imported() -> None:
    program = (
        "import sys, asyncio\n"
        "from photoanimer_async.cli import animate, clients, demo\n"
        "class Renderer(clients.ProcessRenderer):\n"
        "    async def start_workers(self, photos):\n"
        "        print(photos, *sys.modules)\n"
        "        await super().start_workers(photos)\n"
        "clients.ProcessRenderer = Renderer\n"
        "async def main():\n"
        "    async with clients.local_client(concurrency=1, photos=1) as client:\n"
        "        assert client.base_url\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    photos, *loaded = done.stdout.split()
    assert photos == "1"
    assert "photoanimer_async.service.rendering.process_renderer" in loaded
    assert {"aiohttp", "photoanimer_async.client", "photoanimer_async.service.app"} & {
        *loaded
    } == set()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["animate"], "no photo is given"),
        (["animate", ""], "the name of a photo is empty"),
        (["animate", "me.jpg", "--template", "6"], "--template"),
        (["animate", "me.jpg", "--template", "smile"], "looking-around"),
        (["animate", "me.jpg", "--template", "laugher"], 'Did you mean "laughter"?'),
        (["animate", "me.jpg", "--tempalte", "kiss"], "Did you mean --template?"),
        (["estimate", "me.jpg", "--recursiv"], "Did you mean --recursive?"),
        (["estimat", "me.jpg"], 'Did you mean "estimate"?'),
        (["animate", "me.jpg", "--concurrency", "0"], "--concurrency"),
        (["animate", "me.jpg", "--local", "--base-url", "http://x"], "exclude each other"),
        (["animate", "me.jpg", "--local", "--host", "s3://photos"], "exclude each other"),
        (["animate", "me.jpg", "--local", "--proxy", "http://x"], "exclude each other"),
        (["animate", "me.jpg", "--local", "--api-key", "k"], "exclude each other"),
        (["studio", "--local", "--api-key", "k"], "exclude each other"),
        (["studio", "--proxy", "http://x"], "exclude each other"),
        (["animate", "m.jpg", "--no-journal", "--retry-failed"], "leave out --no-journal"),
        (["animate", "m.jpg", "--no-journal", "--resubmit-ambiguous", "9"], "--no-journal"),
        (["animate", "me.jpg", "--voice-seconds", "3"], "add --voice-url"),
        (["animate", "me.jpg", "--json", "--dry-run"], "exclude each other"),
        (["animate", "a.jpg", "b.jpg", "--out", "a.mp4"], "--out names one file, a.mp4"),
        (["animate", "a.jpg", "--gif", "--out", "a.mp4"], "--out is a.mp4, but the result is"),
        (["demo", "--out", "a.mp4"], "--out names one file, a.mp4"),
        (["status", "no.journal"], "no.journal: there is no such journal; name the photoanimer"),
        (["resume", "no.journal"], "or the folder that it is in"),
        (["animate", "me.jpg", "--template", "1", "--voice-url", "http://x/a.mp3"], "template 0"),
        (["animate", "me.jpg", "--api-key", "k", "--base-url", "ftp://x"], "base_url"),
        (["animate", "me.jpg", "--api-key", "k", "--base-url", "http://[x"], "base_url"),
        (["animate", "me.jpg", "--api-key", "k", "--host", "photos"], "image host is 'photos'"),
        (["animate", "me.jpg", "--api-key", "k", "--out", "ftp://photos"], "ftp://photos; allowed"),
        (["animate", "m.jpg", "--journal", "j", "--no-journal", "--api-key", "k"], "exclude each"),
        (["animate", "me.jpg", "--max-seconds", "-1"], "--max-seconds"),
        (["resume", "no.journal", "--api-key", "k", "--resubmit-ambiguous", "-1"], "--resubmit"),
        (["resume"], "JOURNAL"),
        (["estimate"], "no photo is given"),
        (["wait"], "no task is given"),
        (["wait", ""], "no task is given"),
        (["animat"], "Unknown command"),
        (["serve", "--port", "65536"], "--port"),
        (["serve", "--dask", "scheduler"], "such as tcp://scheduler:8786"),
        (["serve", "--host", "0.0.0.0"], "serve keys add"),
        (["serve", "--allow-network", "10.0.0.1/8"], "'10.0.0.1/8' is not a network"),
        (["serve", "--notify-url", "example.com"], "notify_url must be an http or https URL"),
        (["serve", "--metrics", "nowhere"], "a port or HOST:PORT"),
        (["serve", "--engine", "live"], "no engine 'live' is installed; there are: warp"),
        (["serve", "--task-days", "3"], "--task-days is 3; it must not be less than --result-days"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    photoanimer: CommandLine, arguments: list[str], text: str
) -> None:
    done = photoanimer(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("photoanimer: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_key_the_alternatives_are_named(photoanimer: CommandLine) -> None:
    done = photoanimer.run_process("animate", "me.jpg")
    assert done.returncode == 2
    assert all(way in done.stderr for way in ("PHOTOANIMER_API_KEY", "--api-key", "--local"))


def test_the_key_of_a_mistyped_option_is_not_repeated(photoanimer: CommandLine) -> None:
    done = photoanimer("balance", "--apikey=key-5eed")
    assert done.returncode == 2
    assert "--apikey" in done.stderr
    assert "key-5eed" not in done.stderr + done.stdout
    done = photoanimer("animate", "a.jpg", "--apikey=key-5eed")
    assert done.returncode == 2
    assert done.stderr == "photoanimer: Unknown option: --apikey. Did you mean --api-key?\n"


def test_a_file_with_a_leading_hyphen_is_named_by_its_folder(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "-x.png").write_bytes(png())
    assert "To name the file: ./-x.png" in photoanimer("estimate", "-x.png").stderr
    assert photoanimer("estimate", "./-x.png").returncode == 0
    assert photoanimer("estimate", "--", "-x.png").returncode == 0


def test_a_base_url_is_completed(connected: CommandLine, service: Service) -> None:
    address = urlsplit(service.base_url).netloc
    for base_url in (address, f"http://{address}", f"http://{address}/api/"):
        assert connected("balance", "--base-url", base_url).returncode == 0
        connected.environment["PHOTOANIMER_BASE_URL"] = base_url
        assert connected("balance").returncode == 0


def test_a_file_as_the_folder_for_results_is_wrong_use(photoanimer: CommandLine) -> None:
    (photoanimer.folder / "taken").write_text("")
    done = photoanimer("animate", "me.jpg", "--api-key", "k", "--out", "taken")
    assert done.returncode == 2
    assert "taken exists and is not a folder" in done.stderr

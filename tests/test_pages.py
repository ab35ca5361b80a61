"""Every example and command on the documentation pages runs as it is written.

Pages are `README.md`, `photoanimer_async/**/*.md` and `benchmarks/README.md`. Each fenced block
is one test, named by its page and number (`pytest tests/test_pages.py -k polling/README.md:3`):

* `python` runs as a program and passes `mypy --strict`; with a `def test_...` it runs by pytest.
  A comment after a `print(...)` shows its output, which is compared; `...` stands for anything.
* `sh` runs as a bash script, and so do the lines after `$ ` of `console`. Servers (`photoanimer
  serve`, `photoanimer studio`, `uvicorn`, `dask ...`) run in the background until the block ends.
* `json`, `toml` and `yaml` are parsed. Other languages are not checked.

A block runs in a new folder with `me.jpg`, `grandma.jpg`, `holiday.heic`, `hello.wav` and two
photos in `photos/`. `PHOTOANIMER_BASE_URL` and `PHOTOANIMER_API_KEY` point at a double of the
service, `s3://my-photos` and `s3://my-videos` at an S3 server, `redis://127.0.0.1:6379` at a
Redis, `http://127.0.0.1:8000/` at a web server with the same photos, `http://127.0.0.1:8765` at
the double. Ports are replaced by free ones, and the task ids 123456 and 471367831765061 by the id
of a finished task.

One HTML comment on the line before a block changes that:

* `<!-- not run: needs a Kubernetes cluster -->`: only its syntax is checked. The reason may be
  the file of the test that runs it otherwise.
* `<!-- file: app.py -->`: the page's other blocks find it under this name.
* `<!-- runs until stopped -->`: a program that prints a URL and serves there.
"""

import ast
import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import tomllib
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest
import requests
import yaml  # type: ignore[import-untyped] # comes with Dask
from attrs import frozen
from PIL import Image
from yarl import URL

from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER
from photoanimer_async.testing import PhotoAnimerServer

from .support.pages import ROOT, Block, Page, page, pages
from .support.pictures import heic
from .support.ports import free_port
from .support.s3_server import S3Server

PAGES = pages()
BLOCKS = [block for each in PAGES for block in each.blocks()]
PROGRAMS = [block for block in BLOCKS if block.language == "python" and not block.not_run]
SHELL_BLOCKS = [each for each in BLOCKS if each.language in {"sh", "console"} and not each.not_run]
SERVERS = re.compile(
    r"^(photoanimer serve(?! keys)|photoanimer studio|uvicorn|dask)\b.*", re.MULTILINE
)
EXAMPLE_TASKS = ("123456", "471367831765061")
PRELUDE = """
listens() { (: < /dev/tcp/127.0.0.1/$1) 2>/dev/null; }
until_listening() { until listens $1; do kill -0 $2; sleep 0.05; done; }
"""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_syntax(block: Block) -> None:
    known = ("not run: ", "file: ", "runs until stopped")
    assert not block.marker or block.marker.startswith(known), f"unknown marker: {block.marker}"
    if block.not_run.startswith("tests/"):
        assert (ROOT / block.not_run).is_file(), f"{block.not_run} does not exist"
    match block.language:
        case "python":
            compile(block.program, str(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        case "sh" | "console":
            subprocess.run(["bash", "-n", "-c", block.commands], check=True)
        case "json":
            json.loads(block.text)
        case "toml":
            tomllib.loads(block.text)
        case "yaml":
            assert list(yaml.safe_load_all(block.text))
        case _:
            pass


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links(page: Page) -> None:
    prose = re.sub(r"```.*?```|`.*?`", "", page.text, flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = page.path.parent / path if path else page.path
            assert target.exists(), f"{link} leads nowhere"
            assert not anchor or anchor in anchors(target), f"{link} leads to no heading"


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
def test_programs_pass_mypy_strict(tmp_path: Path) -> None:
    names = {re.sub(r"\W", "_", str(block)) + ".py": block for block in PROGRAMS}
    for name, block in names.items():
        (tmp_path / name).write_text(block.program, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="]
    # The package is checked by its own configuration.
    command += ["--follow-imports=silent", "--cache-dir", str(ROOT / ".mypy_cache" / "pages")]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *names],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    for name, block in names.items():
        output = output.replace(name, f"{block} line")
    assert done.returncode == 0, output


@frozen
class Sandbox:
    """A folder with photos, and an environment that leads to servers on this machine."""

    folder: Path
    environment: dict[str, str]
    replacements: dict[str, str]

    def adapted(self, text: str) -> str:
        """The text with the addresses, ports and ids of this machine."""
        written = "|".join(map(re.escape, self.replacements))
        return re.sub(written, lambda found: self.replacements[found[0]], text)

    @contextmanager
    def started(
        self, *command: str, output: IO[str] | int = subprocess.PIPE
    ) -> Iterator["subprocess.Popen[str]"]:
        """Run a process; kill it with all that it started when the block ends."""
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, *command: str) -> str:
        """Return what a command prints. It must end well."""
        with TemporaryFile("w+") as output:
            with self.started(*command, output=output) as process:
                status = process.wait(timeout=240)
            output.seek(0)
            printed = output.read()
        assert status == 0, f"exit status {status}\n{printed}"
        return printed


@frozen
class Servers:
    """What the blocks of all pages share."""

    photos: Path
    photos_url: str
    double: PhotoAnimerServer
    task_id: str


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    photos = tmp_path_factory.mktemp("photos")
    write_photos(photos)
    with serving(photos) as photos_url, PhotoAnimerServer() as double:
        answer = requests.get(
            f"{double.base_url}/faceDriven/submitTaskByUrl",
            params={"imageUrl": f"{photos_url}/me.jpg", "templateId": "2"},
            headers={"APIKEY": double.api_key},
            timeout=30,
        )
        yield Servers(photos, photos_url, double, task_id=str(answer.json()["data"]))


def write_photos(folder: Path) -> None:
    (folder / "photos").mkdir()
    for name in ("me.jpg", "photos/astronaut.jpg"):
        (folder / name).write_bytes(ASTRONAUT.read_bytes())
    for name in ("grandma.jpg", "photos/grace_hopper.jpg"):
        (folder / name).write_bytes(GRACE_HOPPER.read_bytes())
    with Image.open(folder / "me.jpg") as image:
        (folder / "holiday.heic").write_bytes(heic(image))
    with wave.open(str(folder / "hello.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A web server for a folder; gives its origin."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def block(request: pytest.FixtureRequest) -> Block:
    found: Block = request.param
    return found


@pytest.fixture
def sandbox(
    request: pytest.FixtureRequest, block: Block, servers: Servers, tmp_path: Path
) -> Sandbox:
    folder = Path(shutil.copytree(servers.photos, tmp_path / "here"))
    environment = {name: value for name, value in os.environ.items() if "AWS_" not in name}
    environment |= {
        "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
        "PHOTOANIMER_API_KEY": servers.double.api_key,
        "PHOTOANIMER_BASE_URL": servers.double.base_url,
        "PYTHONPATH": str(ROOT),
    }
    ports = {port: str(free_port()) for port in ("8000", "8765", "8766", "8786", "9464")}
    if not SERVERS.search(block.text):
        ports["8000"] = port_of(servers.photos_url)
        ports["8765"] = port_of(servers.double.base_url)
    if "redis://" in block.text:
        ports["6379"] = str(request.getfixturevalue("redis_port"))
    if "s3://" in block.text:
        s3: S3Server = request.getfixturevalue("s3")
        for bucket in ("my-photos", "my-videos"):
            s3.make_bucket(bucket)
        environment |= s3.environment
    replacements = {
        "APIKEY: any": f"APIKEY: {servers.double.api_key}",
        "PHOTOANIMER_API_KEY=...": f"PHOTOANIMER_API_KEY={servers.double.api_key}",
        "//scheduler:": "//127.0.0.1:",
        "https://example.com": servers.photos_url,
        **dict.fromkeys(EXAMPLE_TASKS, servers.task_id),
        **ports,
    }
    sandbox = Sandbox(folder, environment, replacements)
    for other in block.page.blocks():
        if other.file:
            (folder / other.file).write_text(sandbox.adapted(other.text), encoding="utf-8")
    return sandbox


def port_of(url: str) -> str:
    return str(URL(url).port)


@pytest.mark.slow
@pytest.mark.parametrize("block", PROGRAMS, ids=str, indirect=True)
def test_program(block: Block, sandbox: Sandbox) -> None:
    is_test = "\ndef test_" in block.text
    path = sandbox.folder / ("test_program.py" if is_test else "program.py")
    path.write_text(sandbox.adapted(block.program), encoding="utf-8")
    if is_test:
        options = ("-o", "asyncio_mode=auto", "-c", os.devnull, "--rootdir=.")
        sandbox.run(sys.executable, "-m", "pytest", *options, path.name)
    elif block.marker == "runs until stopped":
        require_page(sandbox, sys.executable, path.name)
    else:
        require_output(block.text, sandbox.run(sys.executable, path.name))


def require_page(sandbox: Sandbox, *command: str) -> None:
    with sandbox.started(*command) as process:
        assert process.stdout is not None
        url = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))
        requests.get(url[0], timeout=30).raise_for_status()


def require_output(program: str, output: str) -> None:
    for shown in re.findall(r"^ *print\(.*\)  # (.+)$", program, flags=re.MULTILINE):
        expected = ".*".join(map(re.escape, shown.split("...")))
        assert re.search(expected, output), f"{shown!r} is not in {output!r}"


@pytest.mark.slow
@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str, indirect=True)
def test_commands(block: Block, sandbox: Sandbox) -> None:
    commands = re.sub(
        r"^photoanimer (serve(?! keys)|studio)\b(?!.*--port)",
        lambda found: f"{found[0]} --port {'8765' if found[1] == 'serve' else '8766'}",
        block.commands,
        flags=re.MULTILINE,
    )
    lines = [in_background(line) for line in sandbox.adapted(commands).splitlines()]
    sandbox.run("bash", "-euo", "pipefail", "-c", "\n".join([PRELUDE, *lines]))


def in_background(line: str) -> str:
    """The line; if it starts a server, so that the next line runs when the server listens."""
    if not SERVERS.match(line):
        return line
    command = re.sub(r"\s+#.*", "", line).removesuffix(" &")
    port = re.search(r"--port (\d+)", command)
    return f"{command} & until_listening {port[1]} $!" if port else f"{command} &"


def app_of(name: str) -> Block:
    return page(name).block("python", containing="FastAPI")


@contextmanager
def running_app(sandbox: Sandbox) -> Iterator[str]:
    """Run `app.py` by uvicorn; give its origin."""
    port = str(free_port())
    with sandbox.started("uvicorn", "app:app", "--port", port) as process:
        assert process.stdout is not None
        while "Uvicorn running" not in process.stdout.readline():
            assert process.poll() is None
        yield f"http://127.0.0.1:{port}"


@pytest.mark.slow
@pytest.mark.parametrize("block", [app_of("README.md")], ids=str, indirect=True)
def test_an_app_animates_a_visitors_link_and_no_file_of_the_server(
    block: Block, sandbox: Sandbox, servers: Servers
) -> None:
    with running_app(sandbox) as origin:
        photo = {"photo": f"{servers.photos_url}/me.jpg"}
        answer = requests.post(f"{origin}/animations", params=photo, timeout=60)
        assert answer.json()["video"].endswith(".mp4")
        for path in ("me.jpg", str(sandbox.folder / "me.jpg"), "/etc/passwd"):
            refused = requests.post(f"{origin}/animations", params={"photo": path}, timeout=60)
            assert refused.status_code == 422


@pytest.mark.slow
@pytest.mark.parametrize("block", [app_of("notifications/README.md")], ids=str, indirect=True)
def test_an_app_streams_the_progress_of_a_task(
    block: Block, sandbox: Sandbox, servers: Servers
) -> None:
    with running_app(sandbox) as origin:
        photo = {"photo": f"{servers.photos_url}/me.jpg"}
        answer = requests.post(f"{origin}/animations", params=photo, timeout=60)
        assert answer.status_code == 202
        url = f"{origin}/animations/{answer.json()['task']}/events"
        events = re.findall(r"data: (.*)\n\n", requests.get(url, timeout=60).text)
        states = [json.loads(event) for event in events]
        assert states[0] == {"state": "processing"}
        assert states[-1]["video"].endswith(".mp4")
        path = {"photo": "me.jpg"}
        assert requests.post(f"{origin}/animations", params=path, timeout=60).status_code == 422

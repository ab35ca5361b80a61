"""README's examples and commands, run as they stand there.

Only places are changed: the service and the photos are on loopback, and the command is the
one of the environment that runs the tests. The two commands that set up an environment are
run whole by `.ci/run`.
"""

import asyncio
import functools
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pillow_heif
import pytest
import requests
import yaml  # type: ignore[import-untyped] # comes with Dask
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import frozen
from PIL import Image

from photoanimer_async import InvalidNotificationError
from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER, PORTRAITS
from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.error_codes import markdown_table
from photoanimer_async.service.faults import parse_script
from photoanimer_async.service.faults.grammar import ACTIONS
from photoanimer_async.service.notifying.signing import new_secret, signature_headers

from .support.s3_server import S3Server

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SCRIPTS = Path(sysconfig.get_path("scripts"))
LOCAL_SERVICE = "http://127.0.0.1:8765"
PHOTOS = "https://example.com"
STORES = "Getting photos to the service, and results back"


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section(title), flags=re.DOTALL)


@frozen
class Place:
    """A folder with photos, a web server with the same, and a service."""

    folder: Path
    photos_url: str
    service_url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            "PHOTOANIMER_API_KEY": "any",
            "PHOTOANIMER_BASE_URL": f"{self.service_url}/api/v1",
        }

    def here(self, text: str) -> str:
        return (
            text.replace(PHOTOS, self.photos_url)
            .replace("http://127.0.0.1:8000", self.photos_url)
            .replace(LOCAL_SERVICE, self.service_url)
        )

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sh(self, line: str) -> str:
        return self.run("bash", "-euc", self.here(line))

    def python(self, code: str) -> str:
        return self.run(sys.executable, "-c", self.here(code))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keeps quiet."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "photos").mkdir()
    for portrait in PORTRAITS:
        (folder / "photos" / portrait.name).write_bytes(portrait.read_bytes())
    (folder / "me.jpg").write_bytes(ASTRONAUT.read_bytes())
    (folder / "grandma.jpg").write_bytes(GRACE_HOPPER.read_bytes())
    serve, *_ = blocks("The local service", "sh")
    command = [str(SCRIPTS / "photoanimer"), *shlex.split(serve)[1:], "--port", "0"]
    handler = functools.partial(QuietHandler, directory=str(folder))
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as photos,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as service,
    ):
        thread = threading.Thread(target=photos.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            assert service.stdout is not None
            said = ""
            while (found := re.search(r"http://127\.0\.0\.1:\d+", said)) is None:
                said += service.stdout.readline()
            yield Place(folder, f"http://127.0.0.1:{photos.server_port}", found[0])
        finally:
            service.send_signal(signal.SIGTERM)
            photos.shutdown()
            thread.join()
    assert service.returncode == 0


def test_the_script(place: Place) -> None:
    [code] = blocks("From a script", "python")
    saved = place.folder / place.python(code).strip()
    assert saved.name.startswith("grandma")
    assert saved.stat().st_size > 10_000


def test_the_batch(place: Place) -> None:
    [code] = blocks("A batch", "python")
    lines = place.python(code).splitlines()
    assert len(lines) == 2
    assert all("->" in line for line in lines)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def until_connectable(port: int) -> None:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nobody listens on port {port}")


@contextmanager
def running(place: Place, script: str, folder: Path) -> Iterator[None]:
    """A script of shell, with all that it starts, until the end of the block."""
    command = ["bash", "-euc", f"{script}\nwait"]
    with subprocess.Popen(
        command, cwd=folder, env=place.environment, start_new_session=True
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)


@pytest.fixture
def fastapi_app(place: Place, tmp_path: Path) -> Iterator[str]:
    """The application of "In a web app" with a service that notifies, as "Notifications" has it."""
    [code] = [block for block in blocks("In a web app", "python") if "FastAPI" in block]
    (tmp_path / "app.py").write_text(code)
    [script] = blocks("Notifications", "sh")
    app, service = free_port(), free_port()
    script = script.replace("8000", str(app)).replace("8765", str(service))
    script = script.replace("photoanimer serve", f"photoanimer serve --port {service}")
    with running(place, script, tmp_path):
        until_connectable(service)
        until_connectable(app)
        yield f"http://127.0.0.1:{app}"


async def test_the_fastapi_app(place: Place, fastapi_app: str) -> None:
    async with aiohttp.ClientSession(fastapi_app) as session:
        photo = {"photo": f"{place.photos_url}/me.jpg", "template": "2"}
        async with session.post("/animations", params=photo) as response:
            assert response.status == 202
            task_id = (await response.json())["task"]
        async with session.get(f"/animations/{task_id}/events") as response:
            assert response.content_type == "text/event-stream"
            states = [json.loads(line.removeprefix(b"data: ")) async for line in lines_of(response)]
        assert [state["state"] for state in states[:1]] == ["processing"]
        assert states[-1]["state"] == "finished"
        assert states[-1]["video"].endswith(".mp4")
        async with session.get("/animations/1/events") as response:
            *_, last = [line async for line in lines_of(response)]
            assert "no task" in json.loads(last.removeprefix(b"data: "))["reason"]
        nothing = {"photo": f"{place.photos_url}/nothing.jpg"}
        async with session.post("/animations", params=nothing) as response:
            assert response.status == 502
            assert "404" in (await response.json())["detail"]


async def lines_of(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for line in response.content:
        if line.strip():
            yield line


async def test_the_aiohttp_app(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOANIMER_API_KEY", "any")
    monkeypatch.setenv("PHOTOANIMER_BASE_URL", f"{place.service_url}/api/v1")
    [code] = [block for block in blocks("In a web app", "python") if "aiohttp" in block]
    names: dict[str, object] = {"__name__": "app"}
    exec(code, names)
    async with TestServer(names["app"]) as server, aiohttp.ClientSession() as session:  # type: ignore[arg-type] # README's own
        photo = {"photo": f"{place.photos_url}/me.jpg"}
        wait = asyncio.create_task(session.get(server.make_url("/animate"), params=photo))
        notified = f"/photoanimer{names['receiver'].path}"  # type: ignore[attr-defined] # likewise
        async with session.post(server.make_url(notified), data=b"{}") as response:
            assert response.status == 400
        async with await wait as response:
            assert (await response.json())["video"].startswith(place.service_url)
        nothing = {"photo": f"{place.photos_url}/nothing.jpg"}
        async with session.get(server.make_url("/animate"), params=nothing) as response:
            assert response.status == 502
            assert "404" in (await response.json())["error"]


def test_the_shared_rate(place: Place, tmp_path: Path) -> None:
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("redis-server is not installed: the shared rate is not tried")
    [code] = [block for block in blocks("In a web app", "python") if "Redis" in block]
    port = free_port()
    with running(place, f"{redis} --port {port} --bind 127.0.0.1 --save '' >/dev/null &", tmp_path):
        until_connectable(port)
        assert place.python(code.replace("6379", str(port))).strip().endswith(".mp4")


def test_the_local_service_in_a_program(place: Place) -> None:
    code, _ = blocks("The local service", "python")
    assert place.python(code).strip().endswith(".mp4")


def test_photos_as_people_have_them(place: Place) -> None:
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        pillow_heif.from_pillow(image).save(place.folder / "holiday.heic")
    [code] = blocks("Photos as people have them", "python")
    assert place.python(code).strip() == "out/holiday.mp4"


def test_lists_of_photos(place: Place) -> None:
    [manifest] = blocks("Photos as people have them", "csv")
    (place.folder / "album.csv").write_text(place.here(manifest))
    [block] = blocks("Photos as people have them", "sh")
    recursive, pattern, _, _ = [
        place.sh(re.sub(r" +# .*", "", line)) for line in block.splitlines()
    ]
    assert "Would be sent: 14.26 video seconds for 2 photos." in recursive
    assert pattern == recursive
    assert {path.name for path in (place.folder / "listed").glob("*.mp4")} == {
        "astronaut.mp4",
        "grace_hopper.mp4",
    }
    results = {"Me with a wink.mp4", "A kiss from grandma.gif", "me.mp4"}
    assert results < {path.name for path in (place.folder / "album").iterdir()}


@pytest.fixture
def store(s3: S3Server) -> S3Server:
    for bucket in ("my-photos", "my-videos"):
        s3.make_bucket(bucket)
    return s3


def test_photos_and_results_in_an_object_store(place: Place, store: S3Server) -> None:
    code, _ = blocks(STORES, "python")
    assert place.python(code).strip() == "s3://my-videos/animated/me.mp4"
    [block] = blocks(STORES, "sh")
    place.sh(block)
    saved = store.objects("my-videos")
    assert set(saved) == {f"animated/{n}.mp4" for n in ("me", "astronaut", "grace_hopper")}
    assert all(video[4:8] == b"ftyp" for video in saved.values())
    assert store.objects("my-photos") == {}
    assert len([asked for asked in store.uploads() if asked.path.startswith("/my-photos/")]) == 3


def test_the_lifecycle_rule_is_one_that_a_store_takes(place: Place, store: S3Server) -> None:
    [rule] = blocks(STORES, "json")
    client = f"import boto3, json; s3 = boto3.client('s3', endpoint_url={store.origin!r})"
    put = "s3.put_bucket_lifecycle_configuration(Bucket='my-photos', LifecycleConfiguration=rules)"
    place.run(sys.executable, "-c", f"{client}; rules = json.loads({rule!r}); {put}")


def test_the_ways_to_serve(tmp_path: Path) -> None:
    text = section("The local service")
    commands = re.findall(r"`(photoanimer serve --.*?)`", text)
    commands += [f"photoanimer serve {option}" for option in re.findall(r"`(--global-only)`", text)]
    assert len(commands) >= 2
    for command in commands:
        arguments = [*shlex.split(command)[1:], "--port", "0"]
        with subprocess.Popen(
            [str(SCRIPTS / "photoanimer"), *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        ) as service:
            assert service.stdout is not None
            assert "http://127.0.0.1:" in service.stdout.readline()
            service.terminate()
        assert service.returncode == 0


def test_a_host_of_ones_own(place: Place) -> None:
    _, code = blocks(STORES, "python")
    names: dict[str, object] = {"upload": lambda photo: asyncio.sleep(0, f"https://cdn/{photo}")}
    exec(code, names)

    async def publish() -> str:
        async with names["MyHost"]().publish("me.jpg") as url:  # type: ignore[operator] # README's own
            return str(url)

    assert asyncio.run(publish()) == "https://cdn/me.jpg"


def test_the_command_line(place: Place) -> None:
    [block] = blocks("The command line", "sh")
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    accepted = place.sh(
        f"curl -s -H 'APIKEY: any' '{LOCAL_SERVICE}/api/v1/faceDriven/submitTaskByUrl"
        f"?imageUrl={PHOTOS}/me.jpg&templateId=2'"
    )
    task_id = str(json.loads(accepted)["data"])
    for line in lines:
        if line.startswith("photoanimer ") and not line.endswith(("serve", "studio")):
            place.sh(line.replace("471367831765061", task_id))
    results = {path.name for path in (place.folder / "animated").iterdir()}
    assert {"me.mp4", "me.gif", "astronaut.mp4", "grace_hopper.mp4", f"{task_id}.mp4"} <= results


def test_the_keys_of_the_local_service(place: Place) -> None:
    [block] = [block for block in blocks("The local service", "sh") if "serve keys" in block]
    # In the folder of the service that runs, the other examples' keys would not do any more.
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    said = [place.sh(f"{line} --data accounts") for line in lines]
    assert "The key of anna: pa_" in said[0]
    assert re.search(r"anna +300.00 +5 +valid", said[1])
    assert "anna has 360.00 video seconds" in said[2]
    assert re.search(r"posted to http\S+ is signed with: whsec_", said[3])
    assert "not accepted any more" in said[4]


async def test_the_hook_that_checks_signatures() -> None:
    _, code = blocks("The local service", "python")
    secret = new_secret()
    names: dict[str, Any] = {"SECRET": secret}
    exec(code, names)

    async def answer(request: web.Request) -> web.Response:
        try:
            await names["hook"](request)
        except InvalidNotificationError as error:
            return web.Response(status=400, text=str(error))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", answer)
    body = b'{"eventName": "EVENT_FACE_DRIVEN_TASK_FINISHED"}'
    headers = signature_headers("task_471367831765061", int(time.time()), body, secret)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        for sent, status in ((body, 200), (body + b" ", 400)):
            async with session.post(server.make_url("/hook"), data=sent, headers=headers) as taken:
                assert taken.status == status


def test_what_can_be_seen_of_the_local_service(tmp_path: Path) -> None:
    [block] = [block for block in blocks("The local service", "sh") if "--metrics" in block]
    serve, curl = block.splitlines()
    port = free_port()
    command = [str(SCRIPTS / "photoanimer"), *shlex.split(serve.replace("9464", str(port)))[1:]]
    with subprocess.Popen(
        [*command, "--port", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as service:
        until_connectable(port)
        shown = subprocess.run(
            shlex.split(curl.replace("9464", str(port))), capture_output=True, text=True, check=True
        ).stdout
        service.terminate()
        said, log = service.communicate()
    assert service.returncode == 0
    assert said == ""
    events = [json.loads(line) for line in log.splitlines()]
    told = ["started", "metrics_served", "listening", "stopping"]
    assert [event["event"] for event in events] == told
    text = section("The local service")
    for name in re.findall(r"^# TYPE (photoanimer_\w+)", shown, flags=re.MULTILINE):
        assert f"`{name}`" in text
    documented = set(re.findall(r"`(photoanimer_[a-z_]+)`", text)) - {"photoanimer_async"}
    assert {name for name in documented if f"# TYPE {name} " not in shown} == set()


def test_the_samples_of_the_api_page_with_curl(place: Place) -> None:
    [curl] = [block for block in blocks("The local service", "sh") if block.startswith("curl")]
    submit, get_task_info = curl.strip().splitlines()
    accepted = place.sh(submit)
    task_id = str(json.loads(accepted)["data"])
    info = json.loads(place.sh(get_task_info.replace("123456", task_id)))
    assert info["code"] == 0
    assert str(info["data"]["taskId"]) == task_id


def require_page(place: Place, *command: str) -> None:
    """The command says where a page is, which is there until the command is ended."""
    with subprocess.Popen(
        command, cwd=place.folder, env=place.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert found is not None
            assert "Bring a photo to life" in requests.get(found[0], timeout=30).text
        finally:
            process.terminate()  # SIGINT is ignored where tests run in the background


def test_the_studio(place: Place) -> None:
    [command] = blocks("The studio", "sh")
    require_page(place, *shlex.split(command), "--port", "0")


def test_the_studio_in_a_program(place: Place) -> None:
    [code] = blocks("The studio", "python")
    require_page(place, sys.executable, "-c", code)


def test_the_demo(place: Place) -> None:
    first, _ = blocks("Two commands", "sh")
    demo = first.strip().split(" && ")[-1]
    assert demo == ".venv/bin/photoanimer demo"
    said = place.sh(demo.removeprefix(".venv/bin/"))
    assert "12 of 12" in said
    videos = list((place.folder / "photoanimer-demo").glob("*.mp4"))
    assert len(videos) == 12
    assert all(video.stat().st_size > 50_000 for video in videos)


def test_the_contact_sheet(place: Place) -> None:
    command = re.search(r"`(python -m \S+contact_sheet .*?)`", section("The expressions"))
    assert command is not None
    _, *arguments = shlex.split(command[1].replace("PHOTO", "me.jpg"))
    place.run(sys.executable, *arguments)
    assert (place.folder / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_the_tests_of_an_app(place: Place) -> None:
    [code] = blocks("Testing your app", "python")
    (place.folder / "test_my_app.py").write_text(code)
    pytest_command = [sys.executable, "-m", "pytest", "-o", "asyncio_mode=auto", "-c", os.devnull]
    assert "3 passed" in place.run(*pytest_command, "--rootdir=.", "test_my_app.py")


def test_the_faults_of_the_local_service(place: Place) -> None:
    [line] = blocks("Testing your app", "sh")
    command = [str(SCRIPTS / "photoanimer"), *shlex.split(line)[1:]]
    command += ["--port", "0", "--data", "faulty"]
    said = ""
    with subprocess.Popen(command, cwd=place.folder, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        for printed in service.stdout:
            said += printed
            if "Ctrl-C" in printed:
                service.send_signal(signal.SIGTERM)
    assert "Fault: submit 3: reset after\nFault: poll every 20: status 503\n" in said


def test_the_table_of_faults_is_made_of_scripts() -> None:
    rows = re.findall(r"^\| (`[a-z].*?) \| (`.*?) \|$", section("Testing your app"), re.MULTILINE)
    scripts = [
        (subject, action)
        for subjects, actions in rows
        for subject in re.findall(r"`(.+?)`", subjects)
        for action in re.findall(r"`(.+?)`", actions)
    ]
    assert all(parse_script(f"{subject}: {action}") for subject, action in scripts)
    shown = {(subject, action.split()[0]) for subject, action in scripts}
    assert shown == {(subject, word) for subject, words in ACTIONS.items() for word in words}


def test_outgrowing_one_machine(place: Place, tmp_path: Path) -> None:
    [script] = blocks("Outgrowing one machine", "sh")
    scheduler, service = free_port(), free_port()
    for shown, here in (
        ("tcp://scheduler:8786", f"tcp://127.0.0.1:{scheduler}"),
        ("--port 8786", f"--host 127.0.0.1 --port {scheduler} --no-dashboard"),
        ("dask worker", "dask worker --no-dashboard"),
        ("photoanimer serve", f"photoanimer serve --port {service}"),
    ):
        script = script.replace(shown, here)
    with running(place, re.sub(r" +#.*", " &", script), tmp_path):
        until_connectable(service)
        base_url = f"http://127.0.0.1:{service}/api/v1"
        place.sh(f"photoanimer animate me.jpg --base-url {base_url} --template 2 --out dask/ --yes")
    assert (place.folder / "dask" / "me.mp4").stat().st_size > 10_000


def test_the_sketch_for_kubernetes() -> None:
    [sketch] = blocks("Outgrowing one machine", "yaml")
    [script] = blocks("Outgrowing one machine", "sh")
    objects = list(yaml.safe_load_all(sketch))
    services = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "Service"}
    pods = [one["spec"] for one in objects if one["kind"] != "Service"]
    commands = [pod["template"]["spec"]["containers"][0]["args"] for pod in pods]
    for pod in pods:
        assert pod["selector"]["matchLabels"] == pod["template"]["metadata"]["labels"]
    for command in commands:
        assert " ".join(command[:2]) in script
        assert all(isinstance(word, str) for word in command)
    for name, address in (("scheduler", "tcp://scheduler:8786"), ("animer", "--host 0.0.0.0")):
        assert {"app": name} == services[name]["selector"]
        assert any(address in " ".join(command) for command in commands)
    assert services["scheduler"]["ports"] == [{"port": 8786}]
    assert services["animer"]["ports"] == [{"port": ServiceSettings(data_dir="data").port}]


def test_a_day_of_videos_is_what_the_table_says() -> None:
    whole = re.search(r"\| the whole video \| (\d+) \| (\d+) \|", README)
    day = re.search(r"makes ([\d,]+) videos .*? or ([\d,]+) from", README)
    assert whole is not None
    assert day is not None
    for milliseconds, videos in zip(whole.groups(), day.groups(), strict=True):
        assert abs(86_400_000 / int(milliseconds) - int(videos.replace(",", ""))) < 500


def test_the_table_of_codes_is_the_services_own() -> None:
    assert markdown_table() in README


def test_the_table_of_expressions_has_the_templates_prices() -> None:
    rows = re.findall(r"^\| (\d) \| ([\d.]+) \|", section("The expressions"), flags=re.MULTILINE)
    assert rows == [
        ("0", "3.13"),
        ("1", "7.13"),
        ("2", "2.13"),
        ("3", "6.75"),
        ("4", "4.38"),
        ("5", "3.75"),
    ]

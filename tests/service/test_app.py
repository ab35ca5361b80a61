"""The three interfaces answer as the API page has them, to the page's own calls."""

import asyncio
import json
import re
import time

import pytest
import requests

from .conftest import KEY, InstantRenderer, PhotoHost, Running, Start, golden, until


async def curl(*arguments: str) -> object:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--fail", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def test_the_pages_curl_sample_with_only_the_host_changed(
    service: Running, host: PhotoHost
) -> None:
    image_url = host.url("photo.png")

    envelope = await curl(
        "-H",
        f"APIKEY: {KEY}",
        f"{service.service.base_url}/faceDriven/submitTaskByUrl?imageUrl={image_url}&templateId=1",
    )

    assert isinstance(envelope, dict)
    assert isinstance(envelope["data"], int)
    assert {**golden("submit.json"), "data": envelope["data"], "time": envelope["time"]} == envelope


async def test_the_pages_requests_sample_with_only_the_host_changed(
    service: Running, host: PhotoHost
) -> None:
    response = await asyncio.to_thread(
        requests.get,
        f"{service.service.base_url}/faceDriven/submitTaskByUrl"
        f"?imageUrl={host.url('photo.png')}&templateId=1",
        headers={"APIKEY": KEY},
        timeout=10,
    )

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert list(response.json()) == list(golden("submit.json"))
    assert response.json()["code"] == 0


async def test_time_is_the_servers_clock_in_milliseconds(service: Running) -> None:
    before = int(time.time() * 1000)
    envelope = await service.call("mySubscription")
    assert before <= envelope["time"] <= int(time.time() * 1000)


async def test_a_finished_task_has_the_pages_answer(service: Running, host: PhotoHost) -> None:
    task_id = await service.submit(host.url("photo.png"), template=3, outputFormat="gif")
    await service.end_of(task_id)

    envelope = await service.call("faceDriven/getTaskInfo", taskId=str(task_id))

    origin = service.service.base_url.removesuffix("/api/v1")
    link = rf"{re.escape(origin)}/results/[\w-]{{32}}"
    assert re.fullmatch(rf"{link}\.mp4", envelope["data"]["resultUrl"])
    assert re.fullmatch(rf"{link}\.gif", envelope["data"]["gifUrl"])
    expected = golden("task_info.json")
    expected["time"] = envelope["time"]
    expected["data"] |= {
        "taskId": task_id,
        "resultUrl": envelope["data"]["resultUrl"],
        "gifUrl": envelope["data"]["gifUrl"],
    }
    assert json.dumps(envelope) == json.dumps(expected)


async def test_only_a_gif_task_has_a_gif(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    formats: list[dict[str, str]] = [{}, {"outputFormat": "mp4"}, {"outputFormat": ""}]
    for output_format in formats:
        task_id = await service.submit(host.url("photo.png"), 1, **output_format)
        info = await service.end_of(task_id)
        assert set(info) == {"taskId", "status", "resultUrl"}
    assert [job.gif for job in renderer.jobs] == [None] * 3


async def test_a_pending_task_has_status_0_and_no_links_yet(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    renderer.gate = asyncio.Event()

    task_id = await service.submit(host.url("photo.png"), outputFormat="gif")

    assert await service.info(task_id) == {
        "taskId": task_id,
        "status": 0,
        "resultUrl": None,
        "gifUrl": None,
    }
    renderer.gate.set()
    assert (await service.end_of(task_id))["status"] == 1


async def test_task_ids_are_numbers_of_15_digits_in_no_sequence(
    service: Running, host: PhotoHost
) -> None:
    ids = [await service.submit(host.url("photo.png")) for _ in range(8)]

    assert all(len(str(task_id)) == 15 for task_id in ids)
    assert len(set(ids)) == 8
    assert ids != sorted(ids)


async def test_a_task_id_that_is_taken_is_not_given_again(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([471367831765061, 471367831765061, 471367831765062])
    monkeypatch.setattr("photoanimer_async.service.acceptance.new_task_ids", lambda: drawn)
    service = await start()
    ids = [await service.submit(host.url("photo.png")) for _ in range(2)]
    assert ids == [471367831765061, 471367831765062]


async def test_as_many_photos_are_rendered_at_once_as_there_are_workers(
    start: Start, host: PhotoHost, renderer: InstantRenderer
) -> None:
    service = await start(workers=3)
    renderer.gate = asyncio.Event()

    ids = [await service.submit(host.url("photo.png")) for _ in range(5)]

    await until(lambda: len(renderer.jobs) == 3)
    assert {job.task_id for job in renderer.jobs} == set(ids[:3])
    renderer.gate.set()
    assert [(await service.end_of(task_id))["status"] for task_id in ids] == [1] * 5


async def test_the_renderer_gets_the_photo_and_the_voice_as_they_were_fetched(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    renderer.gate = asyncio.Event()
    voice_url = host.url("voice.mp3", b"a sound")

    task_id = await service.submit(host.url("photo.png"), template=0, voiceUrl=voice_url)

    await until(lambda: renderer.jobs)
    [job] = renderer.jobs
    assert job.voice is not None
    assert job.template == 0
    assert job.photo.read_bytes() == host.files["photo.png"]
    assert job.voice.read_bytes() == b"a sound"
    renderer.gate.set()
    await service.end_of(task_id)


async def test_what_a_task_worked_on_is_removed_when_it_ends(
    service: Running, host: PhotoHost
) -> None:
    voice_url = host.url("voice.mp3", b"a sound")
    task_id = await service.submit(host.url("photo.png"), template=0, voiceUrl=voice_url)
    await service.end_of(task_id)

    inputs = service.settings.data_dir / "inputs"
    await until(lambda: not list(inputs.iterdir()))


async def test_without_accounts_the_balance_is_the_settings_constant(start: Start) -> None:
    service = await start(video_balance=12.5)

    balance = (await service.call("mySubscription"))["data"]

    assert balance["videoBalance"] == 12.5
    assert set(balance) == {
        "monthBalance",
        "imageBalance",
        "videoBalance",
        "monthStartDate",
        "monthExpireDate",
    }
    date = r"\d{4}-\d\d-01 00:00:00"
    assert re.fullmatch(date, balance["monthStartDate"])
    assert re.fullmatch(date, balance["monthExpireDate"])
    assert balance["monthStartDate"] < balance["monthExpireDate"]


async def test_links_start_with_the_public_url_where_one_is_set(
    start: Start, host: PhotoHost
) -> None:
    service = await start(public_url="https://animer.example/behind/")

    info = await service.end_of(await service.submit(host.url("photo.png")))

    assert info["resultUrl"].startswith("https://animer.example/behind/results/")


async def test_links_lead_to_the_host_that_was_asked(service: Running, host: PhotoHost) -> None:
    port = service.service.base_url.split(":")[2].split("/")[0]
    task_id = await service.submit(host.url("photo.png"))
    await service.end_of(task_id)

    envelope = await curl(
        "-H",
        f"APIKEY: {KEY}",
        "-H",
        f"Host: animer.test:{port}",
        f"{service.service.base_url}/faceDriven/getTaskInfo?taskId={task_id}",
    )

    assert isinstance(envelope, dict)
    assert envelope["data"]["resultUrl"].startswith(f"http://animer.test:{port}/results/")

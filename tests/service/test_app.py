"""The interfaces answer as on the API page, to the page's own samples."""

import asyncio
import json
import re
import time

import pytest
import requests

from .conftest import KEY, InstantRenderer, PhotoHost, Running, Start, golden


async def curl(*arguments: str) -> object:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--fail", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def test_the_api_pages_curl_sample(service: Running, host: PhotoHost) -> None:
    image_url = host.url("photo.png")

    envelope = await curl(
        "-H",
        f"APIKEY: {KEY}",
        f"{service.service.base_url}/faceDriven/submitTaskByUrl?imageUrl={image_url}&templateId=1",
    )

    assert isinstance(envelope, dict)
    assert isinstance(envelope["data"], int)
    assert {**golden("submit.json"), "data": envelope["data"], "time": envelope["time"]} == envelope


async def test_the_api_pages_requests_sample(service: Running, host: PhotoHost) -> None:
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


async def test_time_is_in_milliseconds(service: Running) -> None:
    before = int(time.time() * 1000)
    envelope = await service.call("mySubscription")
    assert before <= envelope["time"] <= int(time.time() * 1000)


async def test_a_finished_task_is_answered_as_on_the_page(
    service: Running, host: PhotoHost
) -> None:
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


async def test_only_gif_tasks_have_a_gif_url(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    formats: list[dict[str, str]] = [{}, {"outputFormat": "mp4"}, {"outputFormat": ""}]
    for output_format in formats:
        task_id = await service.submit(host.url("photo.png"), 1, **output_format)
        info = await service.end_of(task_id)
        assert set(info) == {"taskId", "status", "resultUrl"}
    assert [job.gif for job in renderer.jobs] == [None] * 3


async def test_a_pending_task_has_status_0_and_no_links(
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


async def test_the_balance_without_accounts_is_a_constant(start: Start) -> None:
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


async def test_links_start_with_the_public_url(start: Start, host: PhotoHost) -> None:
    service = await start(public_url="https://animer.example/behind/")

    info = await service.end_of(await service.submit(host.url("photo.png")))

    assert info["resultUrl"].startswith("https://animer.example/behind/results/")


async def test_links_have_the_host_of_the_request(start: Start, host: PhotoHost) -> None:
    service = await start(keys={KEY})
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


async def test_logs_contain_the_task_and_no_secrets(
    service: Running, host: PhotoHost, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    task_id = await service.submit(host.url("photo.png") + "?sig=s3cret")
    info = await service.end_of(task_id)
    await service.refusal(imageUrl="http://127.0.0.1:1/p?sig=s3cret", templateId="1")
    async with service.session.get(info["resultUrl"]) as answer:
        await answer.read()

    assert f"task={task_id} event=accepted template=1" in caplog.text
    assert f"task={task_id} event=finished" in caplog.text
    assert "event=refused route=/api/v1/faceDriven/submitTaskByUrl" in caplog.text
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("photoanimer_async")]
    for secret in (KEY, "s3cret", info["resultUrl"].rsplit("/", 1)[1]):
        assert not [line for line in ours if secret in line]

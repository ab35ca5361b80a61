"""Metrics: what is counted, by which labels."""

import asyncio
from pathlib import Path

from aiohttp import web

from photoanimer_async.service import (
    RenderFailedError,
)
from photoanimer_async.service.error_codes import NO_FACE

from ...support.stub_service import serving
from ..conftest import KEY, InstantRenderer, PhotoHost, Running, Start, until
from .conftest import metrics


async def test_tasks_by_outcome(
    measured: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    for _ in range(2):
        await measured.end_of(await measured.submit(host.url("photo.png"), 3))
    renderer.error = RenderFailedError(NO_FACE, "no face")
    await measured.end_of(await measured.submit(host.url("photo.png"), 3))
    found = await metrics(measured)
    assert found["photoanimer_renders_total", "outcome=finished"] == 2
    assert found["photoanimer_renders_total", "outcome=NO_FACE"] == 1
    assert found["photoanimer_render_seconds_count", "template=3"] == 2
    assert found["photoanimer_fetches_total", "outcome=fetched"] == 3


async def test_an_error_of_the_renderer(
    measured: Running,
    host: PhotoHost,
    renderer: InstantRenderer,
    logged_errors: list[object],
) -> None:
    renderer.error = ZeroDivisionError()
    await measured.end_of(await measured.submit(host.url("photo.png")))
    logged_errors.clear()
    found = await metrics(measured)
    assert found["photoanimer_renders_total", "outcome=RENDERING_FAILED"] == 1


async def test_waiting_and_open_tasks(
    measured: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    renderer.gate = asyncio.Event()
    tasks = [await measured.submit(host.url("photo.png")) for _ in range(3)]
    await until(lambda: renderer.jobs)
    found = await metrics(measured)
    assert found["photoanimer_tasks_open", ""] == 3
    assert found["photoanimer_tasks_waiting", ""] == 2
    renderer.gate.set()
    for task in tasks:
        await measured.end_of(task)
    assert (await metrics(measured))["photoanimer_tasks_waiting", ""] == 0


async def test_fetches_by_outcome(start: Start, host: PhotoHost) -> None:
    service = await start(metrics_address="0", image_bytes=100)
    for url in ("ftp://example.com/", host.url("none.png"), host.url("big", bytes(200))):
        await service.refusal(imageUrl=url, templateId="1")
    found = await metrics(service)
    for outcome in ("not_allowed", "failed", "too_large"):
        assert found["photoanimer_fetches_total", f"outcome={outcome}"] == 1


async def test_requests_by_route_status_and_code_without_secrets(
    measured: Running, host: PhotoHost
) -> None:
    info = await measured.end_of(await measured.submit(host.url("photo.png", None)))
    async with measured.session.get(info["resultUrl"]) as answer:
        assert answer.status == 200
    await measured.refusal("faceDriven/getTaskInfo", taskId="123456789012345")
    async with measured.session.get(f"{measured.service.base_url}/s3cret") as answer:
        assert answer.status == 404
    found = await metrics(measured)
    name, prefix = "photoanimer_http_requests_total", "/api/v1/faceDriven"
    assert found[name, f"code= route={prefix}/submitTaskByUrl status=200"] == 1
    assert found[name, f"code=TASK_UNKNOWN route={prefix}/getTaskInfo status=200"] == 1
    assert found[name, "code= route=/results/{name} status=200"] == 1
    assert found[name, "code=NO_SUCH_PATH route=none status=404"] == 1
    assert found["photoanimer_http_request_seconds_count", "route=/results/{name}"] == 1
    shown = repr(found)
    secrets = ("s3cret", KEY, str(info["taskId"]), info["resultUrl"].rpartition("/")[2])
    assert not [secret for secret in secrets if secret in shown]


async def test_notification_attempts_by_outcome(start: Start, host: PhotoHost) -> None:
    statuses = [503, 204]

    async def take(request: web.Request) -> web.Response:
        return web.Response(status=statuses.pop(0) if statuses else 503)

    async with serving(take) as origin:
        service = await start(
            metrics_address="0", notify_url=f"{origin}/hook", notify_schedule=(0.01, 0.01, 3600)
        )
        await service.end_of(await service.submit(host.url("photo.png")))
        await until(lambda: not statuses)
        await service.end_of(await service.submit(host.url("photo.png")))
        name = "photoanimer_notification_attempts_total"
        async with asyncio.timeout(30):
            while (found := await metrics(service)).get((name, "outcome=postponed"), 0) < 4:
                await asyncio.sleep(0.01)
    assert found[name, "outcome=delivered"] == 1
    assert found["photoanimer_notifications_pending", ""] == 1


async def test_each_service_has_its_own_metrics(
    start: Start, host: PhotoHost, tmp_path: Path
) -> None:
    one = await start(metrics_address="0", data_dir=tmp_path / "1")
    other = await start(metrics_address="0", data_dir=tmp_path / "2")
    await one.end_of(await one.submit(host.url("photo.png")))
    assert ("photoanimer_renders_total", "outcome=finished") in await metrics(one)
    assert ("photoanimer_renders_total", "outcome=finished") not in await metrics(other)

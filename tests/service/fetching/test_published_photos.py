"""Photos that a client publishes, fetched by the service: a test of both together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    AnimationRequest,
    Evidence,
    FixedInterval,
    ImageHost,
    LocalImageHost,
    ObjectStoreHost,
    Outcome,
    Photo,
    PhotoAnimerClient,
    RetryPolicy,
    TaskFailedError,
)
from photoanimer_async.jobs.job import Job, JobContext

from ...support.pictures import png
from ...support.s3_server import BUCKET, S3Server
from ...support.stub_service import serving
from ...support.videos import mp4
from ..conftest import KEY, LONGEST_WAIT, InstantRenderer, Running

PHOTO = png(64, 64)
QUICK = RetryPolicy(tries=3, first_wait=0.001, longest_wait=0.002)


def client_of(base_url: str, host: ImageHost | str | None = None) -> PhotoAnimerClient:
    return PhotoAnimerClient(
        KEY, base_url=base_url, host=host, poll=FixedInterval(0.005), retry=QUICK
    )


async def animated(client: PhotoAnimerClient, *photos: Photo) -> list[Outcome]:
    return [outcome async for outcome in client.animate_many(photos, save_to=f"s3://{BUCKET}/out")]


async def test_from_one_object_store_to_another(
    service: Running, s3: S3Server, renderer: InstantRenderer, tmp_path: Path
) -> None:
    file = tmp_path / "grandma.png"
    file.write_bytes(PHOTO)
    async with client_of(service.service.base_url, f"s3://{BUCKET}/in") as client:
        outcomes = await animated(client, file, PHOTO, png(65, 64))
    assert {outcome.unwrap().url for outcome in outcomes} == {
        f"s3://{BUCKET}/out/{name}.mp4" for name in ("grandma", "photo", "photo-2")
    }
    # Published photos are removed, results stay.
    assert set(s3.objects()) == {"out/grandma.mp4", "out/photo.mp4", "out/photo-2.mp4"}
    assert set(s3.objects().values()) == {mp4(b"video of template 1")}
    fetches = [
        request
        for request in s3.received
        if request.method == "GET" and "X-Amz-Signature" in request.query
    ]
    assert len(fetches) == len(renderer.jobs) == 3


async def test_repeated_photos_are_uploaded_once_and_charged_each_time(
    service: Running, s3: S3Server, renderer: InstantRenderer
) -> None:
    renderer.gate = asyncio.Event()
    async with client_of(service.service.base_url, f"s3://{BUCKET}/in") as client:
        batch = asyncio.create_task(animated(client, *[PHOTO] * 5))
        while len(renderer.jobs) < 1:
            await asyncio.sleep(0.005)
        async with asyncio.timeout(LONGEST_WAIT):
            while len([a for a in s3.received if "X-Amz-Signature" in a.query]) < 5:
                await asyncio.sleep(0.005)
        renderer.gate.set()
        outcomes = await batch
    assert len({outcome.unwrap().task_id for outcome in outcomes}) == 5
    assert len([request for request in s3.uploads() if "/in/" in request.path]) == 1
    assert not [key for key in s3.objects() if key.startswith("in/")]


async def test_a_photo_is_removed_after_its_task_failed(
    service: Running,
    s3: S3Server,
    renderer: InstantRenderer,
    logged_errors: list[logging.LogRecord],
) -> None:
    renderer.error = RuntimeError("a fault")
    async with client_of(service.service.base_url, f"s3://{BUCKET}/in") as client:
        [outcome] = await animated(client, PHOTO)
    assert isinstance(outcome.error, TaskFailedError)
    assert s3.objects() == {}
    logged_errors.clear()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def proxied(service: Running, *script: Handler) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy in front of the service; gives its base URL and the submitted image URLs.

    The script answers the first submits, the service all other requests.
    """
    steps, seen = list(script), list[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.path.endswith("/submitTaskByUrl"):
            return await forward(request)
        seen.append(request.query["imageUrl"])
        return await (steps.pop(0) if steps else forward)(request)

    async def forward(request: web.Request) -> web.StreamResponse:
        url = str(service.service.base_url).removesuffix("/api/v1") + str(request.rel_url)
        async with service.session.get(url) as answered:
            return web.Response(body=await answered.read(), content_type="application/json")

    async with serving(answer) as origin:
        yield f"{origin}/api/v1", seen


async def drop(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def fetch_and_refuse(request: web.Request) -> web.StreamResponse:
    """Fetch the photo, then answer that the service is busy."""
    async with aiohttp.ClientSession() as session, session.get(request.query["imageUrl"]) as photo:
        assert await photo.read() == PHOTO
    return web.json_response({"code": 503, "data": None, "msg": "busy", "time": 1}, status=503)


def accept_and_drop(service: Running) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        await service.submit(request.query["imageUrl"])
        return await drop(request)

    return answer


async def outcome_of(base_url: str, host: ImageHost) -> Outcome:
    async with client_of(base_url, host) as client:
        job = Job(0, AnimationRequest(PHOTO), JobContext(evidence_seconds=0))
        return await client._pipeline.run(job, None)


async def test_a_fetch_is_evidence_that_a_lost_submit_arrived(service: Running) -> None:
    async with proxied(service, accept_and_drop(service)) as (base_url, _):
        outcome = await outcome_of(base_url, LocalImageHost())
    assert isinstance(outcome.error, AmbiguousSubmitError)
    assert outcome.error.evidence is Evidence.FETCHED


async def test_a_fetch_for_a_refused_attempt_is_no_evidence_for_the_next(
    service: Running,
) -> None:
    async with proxied(service, fetch_and_refuse, drop) as (base_url, seen):
        outcome = await outcome_of(base_url, LocalImageHost())
    assert isinstance(outcome.error, AmbiguousSubmitError)
    assert outcome.error.evidence is Evidence.NOT_FETCHED
    assert len(set(seen)) == 2
    assert outcome.error.image_url == seen[1]


@pytest.mark.slow
async def test_each_attempt_has_its_own_url_and_the_last_one_counts(
    service: Running,
) -> None:
    refusals = [fetch_and_refuse] * 2
    async with proxied(service, *refusals, accept_and_drop(service)) as (base_url, seen):
        outcome = await outcome_of(base_url, LocalImageHost())
    assert isinstance(outcome.error, AmbiguousSubmitError)
    assert outcome.error.evidence is Evidence.FETCHED
    assert len(set(seen)) == 3


async def test_a_resubmitted_photo_has_a_new_url(service: Running, tmp_path: Path) -> None:
    journal = tmp_path / "batch.db"
    async with (
        proxied(service, drop) as (base_url, seen),
        client_of(base_url, HostWithoutEvidence()) as client,
    ):
        [lost] = [o async for o in client.animate_many([PHOTO], journal=journal)]
        assert isinstance(lost.error, AmbiguousSubmitError)
        again = client.animate_many([PHOTO], journal=journal, resubmit_ambiguous=10)
        assert [outcome.ok async for outcome in again] == [True]
    assert len(set(seen)) == 2


class HostWithoutEvidence:
    """A host that serves photos and does not report fetches."""

    def __init__(self) -> None:
        self._local = LocalImageHost()

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        async with self._local.publish(photo) as url:
            yield url


async def test_an_object_store_has_no_evidence_and_uploads_once(
    service: Running, s3: S3Server
) -> None:
    host = ObjectStoreHost(f"s3://{BUCKET}/in")
    script = [fetch_and_refuse, accept_and_drop(service)]
    async with proxied(service, *script) as (base_url, seen):
        outcome = await outcome_of(base_url, host)
    assert isinstance(outcome.error, AmbiguousSubmitError)
    assert outcome.error.evidence is Evidence.NONE
    assert len(seen) == 2
    assert len(s3.uploads()) == 1
    assert s3.objects() == {}


async def test_errors_and_the_journal_contain_no_signatures(
    service: Running, s3: S3Server, tmp_path: Path
) -> None:
    journal = tmp_path / "batch.db"
    async with (
        proxied(service, drop) as (base_url, seen),
        client_of(base_url, f"s3://{BUCKET}/in") as client,
    ):
        [outcome] = [o async for o in client.animate_many([PHOTO], journal=journal)]
    signature = urlsplit(seen[0]).query.rpartition("X-Amz-Signature=")[2]
    assert len(signature) == 64
    assert outcome.error is not None
    assert signature not in str(outcome.error) + repr(outcome)
    written = await asyncio.to_thread(journal.read_bytes)
    assert urlsplit(seen[0]).path.encode() in written
    assert signature.encode() not in written


@pytest.mark.parametrize("where", ["local", "object store"])
async def test_the_services_message_is_shown_without_the_signature(
    service: Running, s3: S3Server, where: str
) -> None:
    host = ObjectStoreHost(f"s3://{BUCKET}/in") if where == "object store" else LocalImageHost()

    class RemovesAtOnce:
        @asynccontextmanager
        async def publish(self, photo: Photo) -> AsyncIterator[str]:
            async with host.publish(photo) as url:
                pass
            yield url

    async with client_of(service.service.base_url, RemovesAtOnce()) as client:
        [outcome] = [o async for o in client.animate_many([PHOTO])]
    assert outcome.error is not None
    assert "X-Amz" not in str(outcome.error)
    assert "40011" in str(outcome.error)

"""The public names as a type checker sees them. This file is type-checked, never run."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import assert_type

import aiohttp
from aiohttp import web
from redis.asyncio import Redis

from photoanimer_async import (
    Animation,
    AnimationOptions,
    AnimationRequest,
    Balance,
    ImageHost,
    LocalImageHost,
    NotificationReceiver,
    ObjectStoreHost,
    Outcome,
    OutputFormat,
    PhotoAnimerClient,
    PhotoAnimerError,
    PollScheduler,
    ProgressEvent,
    RateLimiter,
    TaskId,
    TaskInfo,
    TaskStatus,
    Template,
    parse_notification,
)
from photoanimer_async.api.redis_rate_limit import RedisRateLimiter


async def client_calls(session: aiohttp.ClientSession) -> None:
    async with PhotoAnimerClient(
        "key", base_url="http://h/api/v1", session=session, concurrency=64, submit_rate=None
    ) as client:
        task_id = await client.submit(
            "http://h/a.jpg", template=1, output_format="mp4", voice_url=None
        )
        assert_type(task_id, TaskId)
        info = await client.get_task_info(task_id)
        assert_type(info, TaskInfo)
        assert_type(info.status, TaskStatus)
        assert_type(info.result_url, str | None)
        assert_type(await client.wait(task_id, timeout=600), TaskInfo)
        assert_type(await client.get_balance(), Balance)
        assert_type(await client.animate(Path("a.jpg"), template=Template.T1), Animation)
        assert_type(
            await client.animate(b"...", save_to="out/", prepare=True, check_urls=True), Animation
        )
        animation = await client.animate(b"...", save_to="out/")
        assert_type(animation, Animation)
        assert_type(animation.path, Path | None)
        assert_type(await client.animate(b"...", save_to="s3://bucket/out"), Animation)
        assert_type(animation.url, str | None)
        assert_type(await client.download(info, "a.mp4"), Path)


def hosts(own: ImageHost) -> list[PhotoAnimerClient]:
    return [
        PhotoAnimerClient("key", host=own),
        PhotoAnimerClient("key", host=LocalImageHost()),
        PhotoAnimerClient("key", host=ObjectStoreHost("s3://bucket/prefix", valid_seconds=3600)),
        PhotoAnimerClient("key", host="gs://bucket/prefix"),
    ]


async def many(client: PhotoAnimerClient, source: AsyncIterator[str]) -> None:
    async for outcome in client.animate_many(["a.jpg", "b.jpg"], template=1, save_to="out/"):
        assert_type(outcome, Outcome)
        assert_type(outcome.unwrap(), Animation)
        assert_type(outcome.error, PhotoAnimerError | None)
    options = AnimationOptions(template=0, output_format="gif", voice_url="http://h/a.mp3")
    assert_type(options.template, int)
    assert_type(options.output_format, OutputFormat)
    async for outcome in client.animate_many([AnimationRequest("a.jpg", options), b"..."]):
        assert_type(outcome.task_id, TaskId | None)
    async for _ in client.animate_many(source, on_progress=show_progress):
        pass


async def in_a_web_app(account: RateLimiter) -> None:
    receiver = NotificationReceiver("a-token-of-22-characters", queue=100)
    assert_type(receiver.path, str)
    assert_type(receiver.routes("/photoanimer"), list[web.RouteDef])
    client = PhotoAnimerClient(
        submit_rate=account, poll_rate=5.0, receiver=receiver, max_pending=100
    )
    assert_type(await client.attach(1, save_to="out/", timeout=60), Animation)
    assert_type(client.pending, Mapping[TaskId, AnimationRequest])
    assert_type(parse_notification(b"{}").task_id, TaskId)
    assert_type(await RedisRateLimiter(Redis(), "account", 1.0).acquire(), None)


def show_progress(event: ProgressEvent) -> None:
    assert_type(event.task_id, TaskId | None)


async def scheduler_alone(client: PhotoAnimerClient) -> None:
    async with PollScheduler(client.get_task_info, concurrency=8) as scheduler:
        assert_type(await scheduler.wait(1, timeout=60), TaskInfo)
        assert_type(await scheduler.wait_all([1, "2"]), dict[TaskId, TaskInfo | PhotoAnimerError])

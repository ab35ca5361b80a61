"""The client's calls, with a real session against a stub service."""

import asyncio
import inspect
import logging
import math
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from photoanimer_async import (
    AnimationRequest,
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    LocalImageHost,
    NoAnswerError,
    PhotoAnimerClient,
    PhotoAnimerError,
    PollScheduler,
    RateLimitedError,
    RetryPolicy,
    TaskFailedError,
    TaskInfo,
    TaskStatus,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from photoanimer_async.api import rate_limits, retry
from photoanimer_async.jobs.batch_runner import BatchSettings

from .support.batches import NeverAnswers
from .support.clock import Clock
from .support.stub_service import (
    API,
    KEY,
    Reply,
    StubService,
    as_bytes,
    envelope,
    quick_client,
    task,
)

PHOTO = "http://127.0.0.1:9/grandma.jpg"


async def test_submit_then_wait(client: PhotoAnimerClient, stub: StubService) -> None:
    stub.poll_script["471367831765062"] = [lambda _: envelope(task(471367831765062, 0))] * 3
    task_id = await client.submit(PHOTO, template=3, output_format="gif")
    assert task_id == 471367831765062
    info = await client.wait(task_id, timeout=10)
    assert info.status is TaskStatus.FINISHED
    assert info.result_url == "http://127.0.0.1:9/471367831765062.mp4"
    [submit] = stub.submits
    assert submit.method == "GET"
    assert submit.headers["APIKEY"] == KEY
    assert dict(submit.query) == {"imageUrl": PHOTO, "templateId": "3", "outputFormat": "gif"}
    assert len(stub.polls) == 4
    assert {poll.headers["APIKEY"] for poll in stub.polls} == {KEY}


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a.jpg?sig=x&expires=1#top",
        "http://h/a%20b.jpg",
        "http://h/a b.jpg",
        "http://h/a+b.jpg?c=d+e",
        "http://h/%2Fetc%2Fpasswd",
        "http://h/ä/照片.jpg?q=ß",
        "http://h/a.jpg?next=http://other/?x=1&y=%26",
        "http://h/a;b=c,d'e\"f<g>.jpg",
    ],
)
async def test_a_hostile_image_url_arrives_exactly(
    client: PhotoAnimerClient, stub: StubService, url: str
) -> None:
    await client.submit(url)
    [submit] = stub.submits
    assert dict(parse_qsl(submit.rel_url.raw_query_string)) == {"imageUrl": url, "templateId": "1"}
    assert submit.query["imageUrl"] == url


@pytest.mark.parametrize("task_id", [2**53 + 1, 10**30, "471367831765061", "6f9619ff-8b86-d011"])
async def test_a_task_id_goes_round_unchanged(
    client: PhotoAnimerClient, stub: StubService, task_id: int | str
) -> None:
    stub.submit_script.append(lambda _: envelope(task_id))
    stub.poll_script[str(task_id)] = [lambda _: envelope(task(task_id))]
    assert await client.submit(PHOTO) == task_id
    assert (await client.get_task_info(task_id)).task_id == task_id
    assert stub.polls[0].query["taskId"] == str(task_id)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"template": 6}, "template is 6; allowed are 0, 1, 2, 3, 4, 5"),
        ({"template": True}, "template"),
        ({"template": "two"}, "template"),
        ({"output_format": "avi"}, "output_format is 'avi'; allowed are mp4, gif"),
        ({"voice_url": "http://h/a.mp3", "template": 2}, "template 0 only"),
        ({"voice_url": "a.mp3", "template": 0}, "voice_url"),
        ({"image_url": "grandma.jpg"}, "image_url"),
    ],
)
async def test_what_the_page_does_not_allow_is_not_sent(
    client: PhotoAnimerClient, stub: StubService, arguments: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        await client.submit(**{"image_url": PHOTO, **arguments})  # type: ignore[arg-type] # wrong on purpose
    assert stub.requests == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (lambda _: envelope(code=4003, msg="sign in"), AuthenticationError),
        (lambda _: envelope(code=4001), InsufficientCreditsError),
        (lambda _: envelope(code=9010, msg="content"), ApiError),
        (lambda _: web.Response(status=401, text="<html>"), AuthenticationError),
    ],
)
async def test_a_refused_submit_raises_and_is_not_repeated(
    client: PhotoAnimerClient, stub: StubService, reply: Reply, kind: type[ApiError]
) -> None:
    stub.submit_script.append(reply)
    with pytest.raises(kind):
        await client.submit(PHOTO)
    assert len(stub.submits) == 1


@pytest.mark.slow
async def test_a_submit_that_was_definitely_put_off_is_sent_again(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    stub.submit_script += [
        lambda _: envelope(code=1, status=429, Retry_After="0"),
        lambda _: envelope(code=1, status=503),
    ]
    assert await client.submit(PHOTO) == 471367831765062
    assert len(stub.submits) == 3


async def test_429_is_waited_out_and_not_counted_as_a_try(
    client: PhotoAnimerClient, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "_START_RATE", 1000.0)
    monkeypatch.setattr(rate_limits, "_MIN_RATE", 1000.0)
    busy: Reply = lambda _: envelope(code=1, status=429)  # noqa: E731 - as the others
    stub.submit_script += [busy] * 8
    task_id = await client.submit(PHOTO)
    assert len(stub.submits) == 9
    stub.poll_script[str(task_id)] = [busy] * 12
    assert (await client.wait(task_id)).result_url
    monkeypatch.setattr(retry, "PATIENCE", 0.0)
    stub.submit_script += [busy] * 8
    with pytest.raises(RateLimitedError):
        await client.submit(PHOTO)
    assert len(stub.submits) == 9 + 3


HOSTILE: list[Reply] = [
    lambda _: web.Response(status=200, text="<html>hello</html>", content_type="text/html"),
    lambda _: web.Response(status=502, text="<html>bad gateway</html>"),
    lambda _: web.Response(status=200, body=b'{"code": 0, "data": {"taskId": 1, "sta'),
    lambda _: envelope(None),
    lambda _: envelope(task(1, 1, resultUrl=None)),
    lambda _: web.Response(status=302, headers={"Location": "/elsewhere"}),
    lambda _: web.Response(status=200, body=b"\x00" * 2_000_000),
]


@pytest.mark.parametrize("reply", HOSTILE)
async def test_hostile_answers_to_a_poll_are_retried_or_raise(
    client: PhotoAnimerClient, stub: StubService, reply: Reply
) -> None:
    stub.poll_script["1"] = [reply, reply]
    assert (await client.wait(1)).result_url == "http://127.0.0.1:9/1.mp4"
    stub.poll_script["1"] = [reply] * 3
    with pytest.raises(UnexpectedResponseError):
        await client.wait(1)
    stub.poll_script["1"] = [reply] * 3
    with pytest.raises(UnexpectedResponseError):
        await client.get_task_info(1)


async def test_a_service_that_does_not_answer_in_time(stub: StubService) -> None:
    stub.poll_script["1"] = [NeverAnswers()] * 3
    async with quick_client(stub.base_url, timeout=0.05) as client:
        with pytest.raises(NoAnswerError, match="timed out"):
            await client.get_task_info(1)


@pytest.mark.parametrize("reply", HOSTILE)
async def test_a_wait_that_could_not_poll_says_so(
    stub: StubService, clock: Clock, reply: Reply
) -> None:
    stub.poll_script |= {"1": [reply] * 1000, "2": [reply] * 1000}
    retry = RetryPolicy(tries=10_000, first_wait=0.001, longest_wait=0.002)
    async with quick_client(stub.base_url, retry=retry) as client:
        late = asyncio.create_task(client.wait_all([2], timeout=10))
        waiting = asyncio.create_task(client.wait(1, timeout=10))
        while len(stub.poll_script["1"]) > 997 or len(stub.poll_script["2"]) > 997:
            await asyncio.sleep(0.001)
        clock.move_forward(20)
        with pytest.raises(WaitTimeoutError, match="could not be polled") as caught:
            await waiting
        [also] = (await late).values()
    for error in (caught.value, also):
        assert isinstance(error, WaitTimeoutError)
        assert "had not ended" not in str(error)
        assert isinstance(error.__cause__, PhotoAnimerError)


async def test_status_2_is_an_error_with_its_reason(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    failed = task(1, 2, failCode=7001, failReason="no face found")
    stub.poll_script["1"] = [lambda _: envelope(failed)]
    with pytest.raises(
        TaskFailedError, match=r"task 1 failed: no face found \(code 7001\)"
    ) as caught:
        await client.wait(1)
    assert caught.value.info.raw == failed
    assert (await client.get_task_info(1)).status is TaskStatus.FINISHED


async def test_a_wait_has_one_deadline(client: PhotoAnimerClient, stub: StubService) -> None:
    stub.poll_script["1"] = [lambda _: envelope(task(1, 0))] * 1000
    with pytest.raises(WaitTimeoutError, match="wait for it again"):
        await client.wait(1, timeout=0.03)


async def test_balance(client: PhotoAnimerClient, stub: StubService) -> None:
    stub.balance = lambda _: envelope({"videoBalance": 99.5, "monthBalance": 1})
    assert (await client.get_balance()).video == 99.5


async def test_hundreds_of_submits_stay_within_the_bound(stub: StubService) -> None:
    under_way = most = 0
    all_there = asyncio.Event()

    async def slowly(_: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 5:
            all_there.set()
        await all_there.wait()
        await asyncio.sleep(0.001)
        under_way -= 1
        return envelope(1)

    stub.submit_script = [slowly] * 200
    async with quick_client(stub.base_url, concurrency=5) as client, asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(client.submit(PHOTO))
    assert most == 5


async def test_a_submit_rate_is_kept(stub: StubService) -> None:
    loop = asyncio.get_running_loop()
    async with quick_client(stub.base_url, submit_rate=100) as client:
        began = loop.time()
        await asyncio.gather(*(client.submit(PHOTO) for _ in range(6)))
        assert loop.time() - began >= 0.049  # five gaps, and the rounding of their sum
    with pytest.raises(InvalidRequestError, match="rate"):
        quick_client(stub.base_url, submit_rate=0)


# --- what the client is made of ---


async def test_key_and_base_url_come_from_the_environment(
    stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOANIMER_API_KEY", "key-from-outside")
    monkeypatch.setenv("PHOTOANIMER_BASE_URL", stub.base_url)
    async with PhotoAnimerClient() as client:
        assert client.base_url == stub.base_url
        await client.submit(PHOTO)
    assert stub.submits[0].headers["APIKEY"] == "key-from-outside"


def test_without_a_key_the_error_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHOTOANIMER_API_KEY", raising=False)
    with pytest.raises(InvalidRequestError, match="PHOTOANIMER_API_KEY"):
        PhotoAnimerClient()


@pytest.mark.parametrize("key", ["two\nlines", "sch\u00fcssel", "\x7f"])
def test_a_key_that_can_not_be_a_header_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(InvalidRequestError, match="api_key") as caught:
        PhotoAnimerClient(key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("base_url", ["cutout.pro", "ftp://h/api", "http://", "http://[x"])
def test_a_base_url_must_be_one(base_url: str) -> None:
    with pytest.raises(InvalidRequestError, match="base_url"):
        PhotoAnimerClient(KEY, base_url=base_url)


@pytest.mark.parametrize("count", [0, -1, 2.5, math.nan, math.inf, "4", [1]])
async def test_a_number_of_things_is_a_whole_number_from_one_on(
    stub: StubService, count: Any
) -> None:
    for name in ("concurrency", "max_pending"):
        with pytest.raises(InvalidRequestError, match=f"{name} must be at least 1"):
            quick_client(stub.base_url, **{name: count})
    with pytest.raises(InvalidRequestError, match="concurrency must be at least 1"):
        PollScheduler(quick_client(stub.base_url).get_task_info, concurrency=count)
    with pytest.raises(InvalidRequestError, match="in_flight must be at least 1"):
        quick_client(stub.base_url).animate_many([PHOTO], in_flight=count)


@pytest.mark.parametrize("seconds", [-1, -math.inf, math.nan, "5"])
async def test_a_timeout_is_a_number_of_seconds(
    client: PhotoAnimerClient, stub: StubService, seconds: Any
) -> None:
    for call in (
        client.animate(PHOTO, timeout=seconds),
        client.attach(5, timeout=seconds),
        client.wait(5, timeout=seconds),
        client.wait_all([5], timeout=seconds),
    ):
        with pytest.raises(InvalidRequestError, match="timeout must be 0 or more seconds"):
            await call
    with pytest.raises(InvalidRequestError, match="timeout must be 0 or more seconds"):
        client.animate_many([PHOTO], timeout=seconds)
    assert stub.requests == []
    assert (await client.animate(PHOTO, timeout=math.inf)).task_id


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_the_time_for_an_answer_is_above_zero(seconds: float) -> None:
    with pytest.raises(InvalidRequestError, match="timeout must be above 0"):
        PhotoAnimerClient(KEY, timeout=seconds)


async def test_a_client_that_is_open_is_not_opened_again(
    client: PhotoAnimerClient, stub: StubService
) -> None:
    with pytest.raises(RuntimeError, match="open already"):
        await client.__aenter__()
    assert await client.submit(PHOTO)
    assert len(stub.submits) == 1


async def test_outside_of_async_with_it_says_so(stub: StubService) -> None:
    client = quick_client(stub.base_url)
    with pytest.raises(RuntimeError, match="async with"):
        await client.submit(PHOTO)
    async with client:
        await client.submit(PHOTO)
    with pytest.raises(RuntimeError, match="async with"):
        await client.submit(PHOTO)


async def test_no_secret_is_ever_shown(stub: StubService, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"no {KEY} at {PHOTO}?sig=s3cret"
    stub.submit_script.append(lambda _: web.Response(body=as_bytes(code=77, msg=echo)))
    async with quick_client(stub.base_url) as client:
        with pytest.raises(ApiError) as caught:
            await client.submit(PHOTO + "?sig=s3cret")
        info = await client.get_task_info(5)
        shown = (
            repr(client)
            + repr(vars(client))
            + repr(info)
            + repr(caught.value)
            + caught.value.message
        )
        await client.submit(PHOTO + "?sig=s3cret")
    assert KEY not in shown + caplog.text
    assert "s3cret" not in shown + caplog.text
    assert caught.value.message == f"no ... at {PHOTO}?…"


async def test_a_short_key_changes_nothing_in_what_comes_back(stub: StubService) -> None:
    async with PhotoAnimerClient("1", base_url=stub.base_url) as client:
        assert await client.submit(PHOTO) == 471367831765062


async def test_two_clients_do_not_share_anything(stub: StubService) -> None:
    async with quick_client(stub.base_url) as one, quick_client(stub.base_url) as other:
        assert await one.submit(PHOTO) != await other.submit(PHOTO)
    assert API in stub.base_url


async def test_it_tells_whether_local_photos_can_reach_the_service() -> None:
    assert PhotoAnimerClient("key", base_url="http://127.0.0.1:8765/api/v1").takes_files
    assert not PhotoAnimerClient("key", base_url="https://far.example/api/v1").takes_files
    tunnel = LocalImageHost(public_url="https://tunnel.example")
    assert PhotoAnimerClient("key", base_url="https://far.example/api/v1", host=tunnel).takes_files


@pytest.mark.parametrize("task_id", ["\ud800", "a\x00b", "\x1b[2J", "9" * 10_000, ""])
async def test_an_id_of_a_caller_that_is_no_text_is_refused(
    client: PhotoAnimerClient, stub: StubService, task_id: str
) -> None:
    client.notify(task_id)
    for call in (client.wait(task_id), client.get_task_info(task_id), client.attach(task_id)):
        with pytest.raises(InvalidRequestError, match="task_id is"):
            await call
    all_ended = await client.wait_all([task_id, 1])
    assert isinstance(all_ended[task_id], InvalidRequestError)
    assert isinstance(all_ended[1], TaskInfo)
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "photos", ["a.jpg", b"content", Path("a.jpg"), AnimationRequest("a.jpg"), None, 7]
)
async def test_a_batch_needs_many_photos(
    client: PhotoAnimerClient, stub: StubService, photos: object
) -> None:
    with pytest.raises(InvalidRequestError, match="photos must be an iterable"):
        client.animate_many(photos)  # type: ignore[arg-type] # the mistake
    assert stub.requests == []


@pytest.mark.parametrize("task_id", [None, "", True, 1.5, b"1", [], "\ud800", "two\nlines"])
async def test_what_is_no_task_id_is_refused_at_once(
    client: PhotoAnimerClient, stub: StubService, task_id: Any
) -> None:
    for call in (client.wait, client.attach, client.get_task_info):
        with pytest.raises(InvalidRequestError, match="task_id is "):
            await call(task_id)
    assert stub.requests == []


async def test_one_wrong_task_id_does_not_affect_others(client: PhotoAnimerClient) -> None:
    task_id = await client.submit(PHOTO)
    ended = await client.wait_all([task_id, None])  # type: ignore[list-item] # the mistake
    assert isinstance(ended[task_id], TaskInfo)
    assert isinstance(ended[None], InvalidRequestError)  # type: ignore[index] # as above
    with pytest.raises(InvalidRequestError, match="task_ids must be an iterable"):
        await client.wait_all("471367831765061")


def test_waiting_is_limited_by_default() -> None:
    for call in (PhotoAnimerClient.wait, PhotoAnimerClient.wait_all):
        assert inspect.signature(call).parameters["timeout"].default == 3600
    for call_with_job in (PhotoAnimerClient.animate, PhotoAnimerClient.attach):
        assert inspect.signature(call_with_job).parameters["timeout"].default == 3600
    assert BatchSettings().timeout == 3600
    assert BatchSettings(timeout=None).timeout is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", ["Mon, 01 Jan 2024 00:00:00 +99999999999999", "0.01", "soon", "9" * 30 + " years"]
)
async def test_any_retry_after_is_survived(
    client: PhotoAnimerClient, stub: StubService, value: str
) -> None:
    def busy(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": value})

    stub.submit_script = [busy]
    stub.poll_script["471367831765062"] = [busy]
    task_id = await client.submit(PHOTO)
    info = await client.wait(task_id, timeout=60)
    assert info.status is TaskStatus.FINISHED

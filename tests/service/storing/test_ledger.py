"""Charges, refunds and credits of accounts."""

import asyncio

import pytest

from photoanimer_async.service import (
    AccountBook,
    Charging,
    Kind,
    RenderFailedError,
)
from photoanimer_async.service.error_codes import API_KEY, CANCELLED, NO_FACE, TASK_UNKNOWN

from ..conftest import Customer, Envelope, InstantRenderer, PhotoHost, Start, added


async def test_a_task_is_charged_when_it_is_accepted(
    start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
) -> None:
    key = await added(book, "anna", seconds=20)
    anna = Customer(await start(), key)
    renderer.gate = asyncio.Event()

    await anna.submit(host.url("photo.png"), 1)

    assert await anna.balance() == 12.87


async def test_sums_are_exact(start: Start, host: PhotoHost, book: AccountBook) -> None:
    key = await added(book, "anna", seconds=31.3)
    anna = Customer(await start(), key)
    for _ in range(10):
        assert (await anna.submit(host.url("photo.png"), 0))["code"] == 0
    assert await anna.balance() == 0
    assert (await anna.submit(host.url("photo.png"), 0))["code"] == 4001


async def test_an_unaffordable_submit_is_refused_before_the_photo_is_fetched(
    start: Start, host: PhotoHost, book: AccountBook
) -> None:
    key = await added(book, "anna", seconds=7)
    anna = Customer(await start(), key)
    envelope = await anna.submit(host.url("photo.png"), 1)
    assert envelope["code"] == 4001
    assert envelope["msg"] == (
        "Insufficient credits: templateId 1 costs 7.13 video seconds, the balance is 7"
    )
    assert host.requests == []


async def test_simultaneous_submits_do_not_overdraw_the_balance(
    start: Start, host: PhotoHost, book: AccountBook
) -> None:
    key = await added(book, "anna", seconds=10)
    anna = Customer(await start(), key)
    envelopes = await asyncio.gather(*(anna.submit(host.url("photo.png"), 2) for _ in range(9)))
    assert sorted(envelope["code"] for envelope in envelopes) == [0] * 4 + [4001] * 5
    assert await anna.balance() == pytest.approx(10 - 4 * 2.13)


@pytest.mark.parametrize(
    ("charging", "balances"),
    [
        (Charging.REFUND_FAILED, (6.25, 6.25, 10)),
        (Charging.KEEP_FAILED, (6.25, 6.25, 6.25)),
        (Charging.ON_SUCCESS, (10, 6.25, 10)),
    ],
)
async def test_when_a_task_is_charged(
    start: Start,
    host: PhotoHost,
    book: AccountBook,
    charging: Charging,
    balances: tuple[float, float, float],
) -> None:
    pending, finished, failed = balances
    keys = [await added(book, name, seconds=10) for name in ("anna", "bob")]
    renderer = InstantRenderer()
    service = await start(renderer, charging=charging)
    for key, error, expected in (
        (keys[0], None, finished),
        (keys[1], RenderFailedError(NO_FACE, "no face"), failed),
    ):
        customer = Customer(service, key)
        renderer.error, renderer.gate = error, asyncio.Event()
        task_id = (await customer.submit(host.url("photo.png"), 5))["data"]
        assert await customer.balance() == pending
        renderer.gate.set()
        await customer.end_of(task_id)
        assert await customer.balance() == expected


async def speak(customer: Customer, host: PhotoHost) -> Envelope:
    return await customer.call(
        "faceDriven/submitTaskByUrl",
        imageUrl=host.url("photo.png"),
        voiceUrl=host.url("voice.mp3", b"a voice"),
        templateId="0",
    )


@pytest.mark.parametrize("charging", Charging)
@pytest.mark.parametrize("seconds", [1.5, 3.13, 40.0])
async def test_a_voice_is_charged_by_its_length(
    start: Start, host: PhotoHost, book: AccountBook, charging: Charging, seconds: float
) -> None:
    anna_key, bob_key = [await added(book, name, seconds=60) for name in ("anna", "bob")]
    renderer = InstantRenderer(seconds=seconds)
    service = await start(renderer, charging=charging)
    anna, bob = Customer(service, anna_key), Customer(service, bob_key)
    spoken = await speak(anna, host)
    await anna.end_of(spoken["data"])
    assert await anna.balance() == pytest.approx(60 - seconds)
    silent = await bob.submit(host.url("photo.png"), 0)
    await bob.end_of(silent["data"])
    assert await bob.balance() == 56.87  # the length of other videos is not their price
    entries = await asyncio.to_thread(book.entries, "anna")
    assert sum(entry.seconds for entry in entries) == pytest.approx(60 - seconds)


@pytest.mark.parametrize("charging", Charging)
@pytest.mark.parametrize(
    ("seconds", "error", "costs"),
    [
        (None, None, (3.13, 3.13, 3.13)),  # by a renderer that does not report the length
        (60.04, None, (60, 60, 60.04)),  # and by one that exceeds the limit
        (None, RenderFailedError(NO_FACE, "no face"), (0, 3.13, 0)),
    ],
)
async def test_what_a_voice_costs_at_most_is_reserved(  # noqa: PLR0917 - cases and fixtures
    start: Start,
    host: PhotoHost,
    book: AccountBook,
    charging: Charging,
    seconds: float | None,
    error: RenderFailedError | None,
    costs: tuple[float, float, float],
) -> None:
    key = await added(book, "anna", seconds=130)
    renderer = InstantRenderer(seconds=seconds, error=error, gate=asyncio.Event())
    anna = Customer(await start(renderer, charging=charging, voice_seconds=60), key)
    spoken = [await speak(anna, host) for _ in range(2)]
    refused = await speak(anna, host)
    if charging is Charging.ON_SUCCESS:
        assert await anna.balance() == 130
        spoken.append(refused)
    else:
        assert await anna.balance() == 10
        assert refused["code"] == 4001
        assert refused["msg"].endswith(
            "templateId 0 with a voice costs up to 60 video seconds, the balance is 10"
        )
    assert renderer.gate is not None
    renderer.gate.set()
    for task in spoken:
        await anna.end_of(task["data"])
    cost = costs[list(Charging).index(charging)]
    assert await anna.balance() == pytest.approx(130 - len(spoken) * cost)


async def test_charging_on_success_can_overdraw_the_balance_once(
    start: Start, host: PhotoHost, book: AccountBook
) -> None:
    key = await added(book, "anna", seconds=3)
    renderer = InstantRenderer(gate=asyncio.Event())
    anna = Customer(await start(renderer, charging="on-success"), key)
    ids = [(await anna.submit(host.url("photo.png"), 2))["data"] for _ in range(2)]
    assert renderer.gate is not None
    renderer.gate.set()
    for task_id in ids:
        assert (await anna.end_of(task_id))["status"] == 1
    assert await anna.balance() == -1.26
    assert (await anna.submit(host.url("photo.png"), 2))["code"] == 4001


async def test_the_ledger_has_every_movement(
    start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
) -> None:
    key = await added(book, "anna", seconds=10)
    anna = Customer(await start(), key)
    renderer.error = RenderFailedError(NO_FACE, "no face")
    task_id = (await anna.submit(host.url("photo.png"), 5))["data"]
    await anna.end_of(task_id)

    entries = await asyncio.to_thread(book.entries, "anna")

    assert [(entry.kind, entry.seconds, entry.task_id) for entry in entries] == [
        (Kind.CREDIT, 10, None),
        (Kind.CHARGE, -3.75, task_id),
        (Kind.REFUND, 3.75, task_id),
    ]


async def test_an_account_without_limit_has_a_ledger_too(
    start: Start, host: PhotoHost, book: AccountBook
) -> None:
    key = await added(book, "anna")
    anna = Customer(await start(video_balance=99), key)
    task_id = (await anna.submit(host.url("photo.png"), 5))["data"]
    assert await anna.balance() == 99
    [entry] = await asyncio.to_thread(book.entries, "anna")
    assert (entry.kind, entry.task_id) == (Kind.CHARGE, task_id)


async def test_a_credit_can_be_spent_immediately(
    start: Start, host: PhotoHost, book: AccountBook
) -> None:
    key = await added(book, "anna", seconds=1)
    anna = Customer(await start(), key)
    assert (await anna.submit(host.url("photo.png"), 2))["code"] == 4001
    assert await asyncio.to_thread(book.credit, "anna", 5) == 6
    assert (await anna.submit(host.url("photo.png"), 2))["code"] == 0


@pytest.mark.parametrize("charging", list(Charging))
async def test_a_cancelled_task_is_given_back_once_however_often_it_is_cancelled(
    start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer, charging: Charging
) -> None:
    key = await added(book, "anna", seconds=20)
    anna = Customer(await start(charging=charging, workers=1), key)
    renderer.gate = asyncio.Event()
    ids = [(await anna.submit(host.url("photo.png"), 1))["data"] for _ in range(2)]

    for task_id in ids:
        answers = await asyncio.gather(*(anna.cancel(task_id) for _ in range(5)))
        assert {answer["data"]["failCode"] for answer in answers} == {CANCELLED.number}

    assert await anna.balance() == 20
    kinds = [entry.kind for entry in await asyncio.to_thread(book.entries, "anna")]
    movements = 0 if charging is Charging.ON_SUCCESS else 2
    assert kinds.count(Kind.REFUND) == kinds.count(Kind.CHARGE) == movements


async def test_only_the_owners_key_cancels_a_task(
    start: Start, host: PhotoHost, book: AccountBook, renderer: InstantRenderer
) -> None:
    anna_key, bob_key = [await added(book, name, seconds=20) for name in ("anna", "bob")]
    service = await start()
    anna, bob = Customer(service, anna_key), Customer(service, bob_key)
    renderer.gate = asyncio.Event()
    task_id = (await anna.submit(host.url("photo.png"), 1))["data"]

    assert (await bob.cancel(task_id))["code"] == TASK_UNKNOWN.number
    assert (await Customer(service, "another").cancel(task_id))["code"] == API_KEY.number

    renderer.gate.set()
    assert (await anna.end_of(task_id))["status"] == 1
    assert await anna.balance() == 12.87

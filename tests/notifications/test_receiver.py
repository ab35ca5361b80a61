"""The receiver, and a client that listens to it."""

import asyncio

import pytest

from photoanimer_async import (
    FixedInterval,
    InvalidRequestError,
    NotificationReceiver,
    PhotoAnimerClient,
    TaskFailedError,
    TaskStatus,
)

from ..support.notifications import notification
from ..support.stub_service import StubService, envelope, quick_client, task


def test_a_token_must_be_hard_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    for weak in ("short", "x" * 21, "with/slash/and/more/of/it", "x" * 201):
        with pytest.raises(InvalidRequestError, match="22 to 200") as caught:
            NotificationReceiver(weak)
        assert weak not in str(caught.value)
    assert NotificationReceiver().path != NotificationReceiver().path
    assert len(NotificationReceiver().path) == 44
    token = "zPq8dJ3kVx_4tN-uRb7LwYc1"
    monkeypatch.setenv("PHOTOANIMER_NOTIFY_TOKEN", token)
    receiver = NotificationReceiver()
    assert receiver.path == f"/{token}"
    assert token not in repr(receiver)
    with pytest.raises(InvalidRequestError, match="queue"):
        NotificationReceiver(queue=0)


async def test_a_receiver_serves_one_client_at_a_time(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    assert repr(receiver) == "<NotificationReceiver listening>"
    with pytest.raises(InvalidRequestError, match="another client"):
        async with quick_client(stub.base_url, receiver=receiver):
            pass


async def test_notifications_are_refused_while_no_client_is_open(
    receiver: NotificationReceiver, stub: StubService
) -> None:
    for _ in range(2):
        assert receiver.take(notification(1)).status == 503
        async with quick_client(stub.base_url, receiver=receiver):
            assert receiver.take(notification(1)).status == 204
    assert receiver.take(notification(1)).status == 503


async def test_the_queue_is_bounded_and_holds_no_duplicates(stub: StubService) -> None:
    receiver = NotificationReceiver(queue=2)
    async with quick_client(stub.base_url, receiver=receiver):
        statuses = [receiver.take(notification(number)).status for number in (1, 1, 2, 2, 3)]
        assert statuses == [204, 204, 204, 204, 503]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert receiver.take(notification(3)).status == 204


async def until_processed(receiver: NotificationReceiver) -> None:
    """Wait until the queue of notifications is empty."""
    while receiver._queued:
        await asyncio.sleep(0)


async def test_a_flood_of_forged_notifications_costs_one_poll(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    stub: StubService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photoanimer_async.notifications.dispatcher._FIRST_GAP", 600.0)
    monkeypatch.setattr("photoanimer_async.polling.timetable._AFTER_HINT", 600.0)
    stub.finished = lambda request: envelope(task(int(request.query["taskId"]), 0))
    task_id = int(await listening.submit("http://127.0.0.1:9/a.jpg"))
    waiting = asyncio.create_task(listening.wait(task_id))
    await asyncio.sleep(0)
    for _ in range(200):
        receiver.take(notification(task_id))
        receiver.take(notification(task_id + 1))
        await until_processed(receiver)
        await asyncio.sleep(0.001)
    assert len(stub.polls) == 1
    assert not waiting.done()
    waiting.cancel()


async def test_a_genuine_notification_after_a_forged_one_has_an_effect(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    stub: StubService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photoanimer_async.notifications.dispatcher._FIRST_GAP", 0.01)
    task_id = int(await listening.submit("http://127.0.0.1:9/a.jpg"))
    stub.poll_script[str(task_id)] = [lambda _: envelope(task(task_id, 0))]
    waiting = asyncio.create_task(listening.wait(task_id))
    await asyncio.sleep(0)
    receiver.take(notification(task_id))
    while not stub.polls:
        await asyncio.sleep(0.001)
    receiver.take(notification(task_id))
    assert (await waiting).status is TaskStatus.FINISHED
    assert len(stub.polls) == 2


async def test_the_result_is_that_of_the_poll_not_of_the_notification(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    stub.finished = lambda _: envelope(task(471367831765062, 2, failReason="no face"))
    task_id = await listening.submit("http://127.0.0.1:9/a.jpg")
    waiting = asyncio.create_task(listening.wait(task_id))
    await asyncio.sleep(0)
    receiver.take(notification(task_id, status=1))
    with pytest.raises(TaskFailedError, match="no face"):
        await waiting


async def test_replays_after_the_end_of_the_task_cost_nothing(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    task_id = await listening.submit("http://127.0.0.1:9/a.jpg")
    receiver.take(notification(task_id))
    await listening.wait(task_id)
    for _ in range(50):
        receiver.take(notification(task_id))
        await until_processed(receiver)
    for number in range(2000):
        receiver.take(notification(number))
        if number % 500 == 0:
            await until_processed(receiver)
    assert len(stub.polls) == 1


async def test_a_notification_may_arrive_before_the_wait(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    early = stub.next_id + 1
    receiver.take(notification(early))
    await until_processed(receiver)
    animation = await listening.animate("http://127.0.0.1:9/a.jpg")
    assert animation.task_id == early
    assert len(stub.polls) == 1


async def test_a_notified_task_costs_one_poll(
    receiver: NotificationReceiver, stub: StubService
) -> None:
    ids: list[int] = []

    async with quick_client(stub.base_url, poll=None, receiver=receiver) as client:

        async def animate(number: int) -> None:
            task_id = await client.submit(f"http://127.0.0.1:9/{number}.jpg")
            ids.append(int(task_id))
            asyncio.get_running_loop().call_later(
                0.05, lambda: receiver.take(notification(task_id))
            )
            await client.wait(task_id)

        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(animate(number))
    assert len(ids) == 100
    assert len(stub.polls) <= 1.2 * 100


async def test_without_any_notification_all_tasks_are_found_by_polling(
    receiver: NotificationReceiver, stub: StubService
) -> None:
    poll = FixedInterval(0.005)
    async with quick_client(stub.base_url, poll=poll, receiver=receiver) as client:
        urls = [f"http://127.0.0.1:9/{number}.jpg" for number in range(50)]
        outcomes = [outcome async for outcome in client.animate_many(urls)]
    assert all(outcome.ok for outcome in outcomes)

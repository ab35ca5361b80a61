"""Bounded fan-out: with a service that is a function, and intervals of a millisecond."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from photoanimer_async import (
    AdaptivePolling,
    AuthenticationError,
    FixedInterval,
    InvalidRequestError,
    NoAnswerError,
    PhotoAnimerError,
    PollScheduler,
    RateLimitedError,
    TaskId,
    TaskInfo,
    TaskStatus,
    WaitTimeoutError,
)

from ..support.stub_service import QUICK_POLL, QUICK_RETRY

PROCESSING, FINISHED, FAILED = TaskStatus.PROCESSING, TaskStatus.FINISHED, TaskStatus.FAILED


class FakeService:
    """Tells each task's script, one line per look; the last line stays."""

    def __init__(self, **scripts: Sequence[TaskStatus | Exception]) -> None:
        self.scripts = {task_id: list(script) for task_id, script in scripts.items()}
        self.looks: list[TaskId] = []
        self.under_way = 0
        self.most_under_way = 0

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        self.looks.append(task_id)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0.001)
        finally:
            self.under_way -= 1
        script = self.scripts.get(str(task_id)) or [FINISHED]
        line = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(line, Exception):
            raise line
        return TaskInfo(task_id, line)

    def scheduler(self, concurrency: int = 8) -> PollScheduler:
        return PollScheduler(
            self.get_task_info, concurrency=concurrency, policy=QUICK_POLL, retry=QUICK_RETRY
        )


def api_error(kind: type[AuthenticationError | RateLimitedError]) -> Exception:
    return kind(operation="getTaskInfo", code=1, message="", http_status=429, retry_after=0.002)


async def test_a_task_is_asked_for_until_its_status_is_1_or_2() -> None:
    service = FakeService(a=[PROCESSING, PROCESSING, FINISHED], b=[PROCESSING, FAILED])
    async with service.scheduler() as scheduler:
        assert (await scheduler.wait("a")).status is FINISHED
        assert (await scheduler.wait("b")).status is FAILED
    assert service.looks.count("a") == 3
    assert service.looks.count("b") == 2


async def test_hundreds_of_tasks_never_pass_the_bound() -> None:
    service = FakeService(**{str(i): [PROCESSING, PROCESSING, FINISHED] for i in range(300)})
    async with service.scheduler(concurrency=7) as scheduler:
        infos = await scheduler.wait_all(range(300))
        assert len(scheduler) == 0
    assert [info.task_id for info in infos.values() if isinstance(info, TaskInfo)] == list(
        range(300)
    )
    assert service.most_under_way == 7
    assert len(service.looks) == 900


@pytest.mark.parametrize(
    "fault", [lambda: NoAnswerError("reset"), lambda: api_error(RateLimitedError)]
)
async def test_a_passing_failure_is_looked_past(fault: Callable[[], Exception]) -> None:
    service = FakeService(a=[fault(), PROCESSING, fault(), fault(), FINISHED])
    async with service.scheduler() as scheduler:
        assert (await scheduler.wait("a")).status is FINISHED


async def test_too_many_passing_failures_in_a_row_are_told() -> None:
    service = FakeService(a=[NoAnswerError("reset")])
    async with service.scheduler() as scheduler:
        with pytest.raises(NoAnswerError):
            await scheduler.wait("a")
    assert len(service.looks) == QUICK_RETRY.tries


async def test_the_failure_of_one_task_touches_no_other() -> None:
    service = FakeService(a=[api_error(AuthenticationError)], b=[PROCESSING, FINISHED])
    async with service.scheduler() as scheduler:
        ended = await scheduler.wait_all(["a", "b"])
    assert isinstance(ended["a"], AuthenticationError)
    assert isinstance(ended["b"], TaskInfo)


async def test_one_deadline_for_the_whole() -> None:
    service = FakeService(slow=[PROCESSING])
    async with service.scheduler() as scheduler:
        with pytest.raises(WaitTimeoutError, match="slow") as caught:
            await scheduler.wait("slow", timeout=0.02)
        assert caught.value.task_id == "slow"
        ended = await scheduler.wait_all(["slow", "quick"], timeout=0.05)
        assert isinstance(ended["slow"], WaitTimeoutError)
        assert isinstance(ended["quick"], TaskInfo)
        assert len(scheduler) == 0


async def test_nothing_to_wait_for() -> None:
    async with FakeService().scheduler() as scheduler:
        assert await scheduler.wait_all([]) == {}


async def test_a_cancelled_waiter_takes_only_itself_away() -> None:
    service = FakeService(a=[PROCESSING] * 20 + [FINISHED])
    async with service.scheduler() as scheduler:
        leaves = asyncio.create_task(scheduler.wait("a"))
        stays = asyncio.create_task(scheduler.wait("a"))
        while len(service.looks) < 3:
            await asyncio.sleep(0.001)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        assert (await stays).status is FINISHED
    assert len(service.looks) == 21


async def test_a_task_that_nobody_waits_for_is_not_asked_for_any_more() -> None:
    service = FakeService(a=[PROCESSING], b=[PROCESSING] * 10 + [FINISHED])
    async with service.scheduler() as scheduler:
        with pytest.raises(WaitTimeoutError):
            await scheduler.wait("a", timeout=0.01)
        looks = service.looks.count("a")
        await scheduler.wait("b")
    assert service.looks.count("a") <= looks + 1


async def test_closing_tells_those_who_still_wait() -> None:
    service = FakeService(a=[PROCESSING])
    async with service.scheduler() as scheduler:
        waiter = asyncio.create_task(scheduler.wait("a"))
        await asyncio.sleep(0.01)
    with pytest.raises(PhotoAnimerError, match="wait for it again"):
        await waiter
    with pytest.raises(RuntimeError, match="not open"):
        await scheduler.wait("a")


async def test_a_fault_of_the_program_is_neither_hidden_nor_left_hanging() -> None:
    service = FakeService(a=[ZeroDivisionError("bug")])
    with pytest.raises(ExceptionGroup) as caught:
        async with service.scheduler() as scheduler:
            with pytest.raises(PhotoAnimerError, match="bug"):
                await scheduler.wait("a")
    assert caught.group_contains(ZeroDivisionError)


async def test_a_fault_of_a_policy_is_neither_hidden_nor_left_hanging() -> None:
    class Faulty(AdaptivePolling):
        def chance(self, kind: str, after: float, age: float) -> float:
            raise ZeroDivisionError("bug")

    policy = Faulty(shortest=0.001, longest=0.002)
    with pytest.raises(ExceptionGroup) as caught:
        async with PollScheduler(
            FakeService().get_task_info, policy=policy, rate=1000
        ) as scheduler:
            ended = await scheduler.wait_all(range(8), timeout=60)
            assert any("bug" in str(error) for error in ended.values())
    assert caught.group_contains(ZeroDivisionError)


async def test_those_that_are_left_together_do_not_hold_up_the_loop() -> None:
    service = FakeService()
    async with PollScheduler(service.get_task_info, policy=FixedInterval(3600)) as scheduler:
        waiting = asyncio.create_task(scheduler.wait_all(range(1000)))
        while len(scheduler) < 1000:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert 0 < len(scheduler) < 1000
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(scheduler) == 0


async def test_a_hundred_thousand_tasks_are_waited_for_at_once() -> None:
    service = FakeService()
    tasks_before = len(asyncio.all_tasks())
    async with PollScheduler(
        service.get_task_info, concurrency=8, policy=FixedInterval(3600)
    ) as scheduler:
        waiting = asyncio.create_task(scheduler.wait_all(range(100_000), timeout=3600))
        while len(scheduler) < 100_000:
            await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) <= tasks_before + 2
        scheduler.notify(99_999)
        while not service.looks:
            await asyncio.sleep(0.001)
        assert service.looks == [99_999]
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(scheduler) == 0


async def test_a_notification_brings_the_next_look_forward() -> None:
    service = FakeService(a=[PROCESSING, FINISHED])
    async with PollScheduler(service.get_task_info, policy=FixedInterval(3600)) as scheduler:
        waiting = asyncio.create_task(scheduler.wait("a"))
        for looks in (1, 2):
            await asyncio.sleep(0.005)
            scheduler.notify("a")
            scheduler.notify("a")
            while len(service.looks) < looks:
                await asyncio.sleep(0.001)
        assert (await waiting).status is FINISHED
    assert service.looks == ["a", "a"]


async def test_a_notification_during_a_look_is_not_lost() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    statuses = [PROCESSING, FINISHED]

    async def get_task_info(task_id: TaskId) -> TaskInfo:
        status = statuses.pop(0)
        asked.set()
        await answer.wait()
        return TaskInfo(task_id, status)

    async with PollScheduler(get_task_info, policy=FixedInterval(3600)) as scheduler:
        waiting = asyncio.create_task(scheduler.wait(1))
        await asyncio.sleep(0)
        scheduler.notify(1)
        await asked.wait()
        scheduler.notify(1)
        answer.set()
        assert (await waiting).status is FINISHED


async def test_a_notification_that_is_in_no_hurry_brings_no_look_at_once() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    looks: list[TaskId] = []

    async def get_task_info(task_id: TaskId) -> TaskInfo:
        looks.append(task_id)
        asked.set()
        await answer.wait()
        return TaskInfo(task_id, PROCESSING)

    async with PollScheduler(get_task_info, policy=FixedInterval(3600)) as scheduler:
        waiting = asyncio.create_task(scheduler.wait(1))
        await asyncio.sleep(0)
        scheduler.notify(1)
        await asked.wait()
        scheduler.notify(1, within=600.0)
        answer.set()
        await asyncio.sleep(0.02)
        assert looks == [1]
        waiting.cancel()


async def test_notifications_of_tasks_that_nobody_waits_for_do_nothing() -> None:
    service = FakeService()
    async with service.scheduler() as scheduler:
        scheduler.notify("unknown")
        assert (await scheduler.wait("a")).status is FINISHED
        scheduler.notify("a")
        await asyncio.sleep(0.005)
    assert service.looks == ["a"]


async def test_a_rate_is_kept_and_polls_are_spread_evenly() -> None:
    loop = asyncio.get_running_loop()
    times = []

    async def get_task_info(task_id: TaskId) -> TaskInfo:
        times.append(loop.time())
        return TaskInfo(task_id, FINISHED)

    async with PollScheduler(get_task_info, policy=QUICK_POLL, rate=500) as scheduler:
        await scheduler.wait_all(range(30))
    assert times[-1] - times[0] >= 29 / 500 * 0.99
    with pytest.raises(InvalidRequestError, match="rate"):
        PollScheduler(get_task_info, rate=0)


async def test_under_a_rate_the_likely_ones_are_asked_first_and_none_starves() -> None:
    class ByNumber:
        """Tasks with a higher number are likelier to have ended."""

        def delay(self, kind: str, age: float, rng: Random) -> float:
            return 0.0

        def joined(self, kind: str) -> None:
            pass

        def pending(self, kind: str, after: float, age: float) -> bool:
            return False

        def ended(self, kind: str, after: float, age: float) -> bool:
            return False

        def left(self, kind: str, after: float) -> None:
            pass

        def chance(self, kind: str, after: float, age: float) -> float:
            return float(kind)

    service = FakeService(**{str(number): [FINISHED] for number in range(12)})
    async with PollScheduler(service.get_task_info, policy=ByNumber(), rate=200) as scheduler:
        for number in range(12):
            scheduler.submitted(number, str(number))
        await scheduler.wait_all(range(12))
    places = {task_id: place for place, task_id in enumerate(service.looks)}
    assert sorted(places) == list(range(12))
    assert places[11] < 2
    assert places[0] < 8


async def test_what_was_learned_from_some_changes_the_plan_for_the_others() -> None:
    service = FakeService(**{str(number): [FINISHED] for number in range(300)})
    policy = AdaptivePolling(0.001, shortest=0.001, longest=600)
    async with PollScheduler(service.get_task_info, policy=policy) as scheduler:
        first_looks = [policy.delay("", 0.0, Random(number)) for number in range(300)]
        assert max(first_looks) > 2
        ended = await scheduler.wait_all(range(300), timeout=60)
    assert all(isinstance(info, TaskInfo) for info in ended.values())
    assert len(service.looks) == 300


async def test_numbers_and_texts_of_one_task_are_asked_for_once() -> None:
    service = FakeService()
    async with service.scheduler() as scheduler:
        ended = await scheduler.wait_all([1, "1", 1])
    assert list(ended) == [1, "1"]
    assert len(service.looks) == 1


async def test_ids_may_come_from_a_generator_and_its_error_is_told() -> None:
    def ids() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    service = FakeService(**{"1": [PROCESSING]})
    async with service.scheduler() as scheduler:
        with pytest.raises(LookupError, match="no more"):
            await scheduler.wait_all(ids())
        assert len(scheduler) == 0


async def test_a_task_keeps_its_age_when_it_is_waited_for_again() -> None:
    ages: list[float] = []

    class Watching:
        def delay(self, kind: str, age: float, rng: Random) -> float:
            ages.append(age)
            return 0.002

    service = FakeService(a=[PROCESSING])
    async with PollScheduler(service.get_task_info, policy=Watching()) as scheduler:
        scheduler.submitted("a", "kind")
        for _ in range(2):
            with pytest.raises(WaitTimeoutError):
                await scheduler.wait("a", timeout=0.03)
    again = ages.index(0.0, 1)
    assert ages[again + 1] > ages[again - 1]

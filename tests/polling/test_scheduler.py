"""The poll scheduler, with a service that is a function and intervals of a millisecond."""

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
from photoanimer_async.polling.notified import NotifiedPolling

from ..support.clock import Clock
from ..support.stub_service import QUICK_POLL, QUICK_RETRY

PROCESSING, FINISHED, FAILED = TaskStatus.PROCESSING, TaskStatus.FINISHED, TaskStatus.FAILED


class FakeService:
    """Answers each task's polls from its script, one entry per poll; the last entry stays."""

    def __init__(self, **scripts: Sequence[TaskStatus | Exception]) -> None:
        self.scripts = {task_id: list(script) for task_id, script in scripts.items()}
        self.polls: list[TaskId] = []
        self.under_way = 0
        self.most_under_way = 0

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        self.polls.append(task_id)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0.001)
        finally:
            self.under_way -= 1
        script = self.scripts.get(str(task_id)) or [FINISHED]
        status = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(status, Exception):
            raise status
        return TaskInfo(task_id, status)

    def scheduler(self, concurrency: int = 8) -> PollScheduler:
        return PollScheduler(
            self.get_task_info, concurrency=concurrency, policy=QUICK_POLL, retry=QUICK_RETRY
        )


def api_error(kind: type[AuthenticationError | RateLimitedError]) -> Exception:
    return kind(operation="getTaskInfo", code=1, message="", http_status=429, retry_after=0.002)


async def test_a_task_is_polled_until_its_status_is_1_or_2() -> None:
    service = FakeService(a=[PROCESSING, PROCESSING, FINISHED], b=[PROCESSING, FAILED])
    async with service.scheduler() as scheduler:
        assert (await scheduler.wait("a")).status is FINISHED
        assert (await scheduler.wait("b")).status is FAILED
    assert service.polls.count("a") == 3
    assert service.polls.count("b") == 2


async def test_requests_under_way_never_exceed_concurrency() -> None:
    service = FakeService(**{str(i): [PROCESSING, PROCESSING, FINISHED] for i in range(300)})
    async with service.scheduler(concurrency=7) as scheduler:
        infos = await scheduler.wait_all(range(300))
        assert len(scheduler) == 0
    assert [info.task_id for info in infos.values() if isinstance(info, TaskInfo)] == list(
        range(300)
    )
    assert service.most_under_way == 7
    assert len(service.polls) == 900


@pytest.mark.parametrize(
    "fault", [lambda: NoAnswerError("reset"), lambda: api_error(RateLimitedError)]
)
async def test_a_poll_is_repeated_after_a_temporary_failure(fault: Callable[[], Exception]) -> None:
    service = FakeService(a=[fault(), PROCESSING, fault(), fault(), FINISHED])
    async with service.scheduler() as scheduler:
        assert (await scheduler.wait("a")).status is FINISHED


async def test_too_many_temporary_failures_in_a_row_end_the_wait() -> None:
    service = FakeService(a=[NoAnswerError("reset")])
    async with service.scheduler() as scheduler:
        with pytest.raises(NoAnswerError):
            await scheduler.wait("a")
    assert len(service.polls) == QUICK_RETRY.tries


async def test_a_permanent_failure_ends_the_wait_for_its_task_alone() -> None:
    service = FakeService(a=[api_error(AuthenticationError)], b=[PROCESSING, FINISHED])
    async with service.scheduler() as scheduler:
        ended = await scheduler.wait_all(["a", "b"])
    assert isinstance(ended["a"], AuthenticationError)
    assert ended["a"].task_id == "a"
    assert isinstance(ended["b"], TaskInfo)


async def test_timeout_covers_the_whole_wait(clock: Clock) -> None:
    service = FakeService(slow=[PROCESSING])
    async with service.scheduler() as scheduler:
        one = asyncio.create_task(scheduler.wait("slow", timeout=10))
        both = asyncio.create_task(scheduler.wait_all(["slow", "quick"], timeout=10))
        while len(service.polls) < 5 or len(scheduler) > 1:  # the quick one has ended
            await asyncio.sleep(0.001)
        clock.move_forward(20)
        with pytest.raises(WaitTimeoutError, match="slow") as caught:
            await one
        assert caught.value.task_id == "slow"
        ended = await both
        assert isinstance(ended["slow"], WaitTimeoutError)
        assert isinstance(ended["quick"], TaskInfo)
        assert len(scheduler) == 0


async def test_wait_all_of_no_tasks_returns_at_once() -> None:
    async with FakeService().scheduler() as scheduler:
        assert await scheduler.wait_all([]) == {}


async def test_cancelling_one_waiter_does_not_affect_the_others() -> None:
    service = FakeService(a=[PROCESSING] * 20 + [FINISHED])
    async with service.scheduler() as scheduler:
        leaves = asyncio.create_task(scheduler.wait("a"))
        stays = asyncio.create_task(scheduler.wait("a"))
        while len(service.polls) < 3:
            await asyncio.sleep(0.001)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        assert (await stays).status is FINISHED
    assert len(service.polls) == 21


async def test_a_task_without_waiters_is_not_polled() -> None:
    service = FakeService(a=[PROCESSING], b=[PROCESSING] * 10 + [FINISHED])
    async with service.scheduler() as scheduler:
        with pytest.raises(WaitTimeoutError):
            await scheduler.wait("a", timeout=0.01)
        polls = service.polls.count("a")
        await scheduler.wait("b")
    assert service.polls.count("a") <= polls + 1


async def test_closing_ends_every_wait() -> None:
    service = FakeService(a=[PROCESSING])
    async with service.scheduler() as scheduler:
        waiter = asyncio.create_task(scheduler.wait("a"))
        await asyncio.sleep(0.01)
    with pytest.raises(PhotoAnimerError, match="wait for it again"):
        await waiter
    with pytest.raises(RuntimeError, match="not open"):
        await scheduler.wait("a")


async def test_closing_ends_a_wait_that_has_just_begun() -> None:
    async with FakeService().scheduler() as scheduler:
        waiter = asyncio.create_task(scheduler.wait("a"))
        await asyncio.sleep(0)
    with pytest.raises(PhotoAnimerError, match="client was closed"):
        await waiter


async def test_a_closed_scheduler_may_be_opened_again() -> None:
    scheduler = FakeService(a=[PROCESSING, FINISHED], b=[PROCESSING]).scheduler()
    async with scheduler:
        cut_off = asyncio.create_task(scheduler.wait("b"))
        await asyncio.sleep(0.005)
    async with scheduler:
        assert (await scheduler.wait("a")).status is FINISHED
        assert len(scheduler) == 0
    with pytest.raises(PhotoAnimerError, match="client was closed"):
        await cut_off


@pytest.mark.parametrize(
    "fault", [RuntimeError("bug"), asyncio.CancelledError("by a library"), TypeError()]
)
async def test_any_exception_in_a_poll_ends_the_wait_for_its_task_alone(
    fault: BaseException,
) -> None:
    polls = 0

    async def get_task_info(task_id: TaskId) -> TaskInfo:
        nonlocal polls
        polls += 1
        await asyncio.sleep(0)
        if task_id == "faulty":
            raise fault
        return TaskInfo(task_id, FINISHED if polls > 20 else PROCESSING)

    async with PollScheduler(get_task_info, concurrency=1, policy=QUICK_POLL) as scheduler:
        other = asyncio.create_task(scheduler.wait("other"))
        for _ in range(2):
            with pytest.raises(PhotoAnimerError, match="task faulty cannot be polled") as caught:
                await scheduler.wait("faulty")
            assert caught.value.__cause__ is fault
            assert caught.value.task_id == "faulty"
        assert not other.done()
        assert (await other).status is FINISHED
        assert len(scheduler) == 0


class FaultyPolicy(AdaptivePolling):
    """Raises in one of its methods for tasks of the kind `faulty`."""

    def __init__(self, method: str, *, first_delay: bool = True) -> None:
        super().__init__(shortest=0.001, longest=0.002)
        self.method = method
        self.first_delay = first_delay

    def _check(self, method: str, kind: str) -> None:
        if (method, kind) == (self.method, "faulty"):
            raise RuntimeError("bug")

    def delay(self, kind: str, age: float, rng: Random) -> float:
        if age or self.first_delay:
            self._check("delay", kind)
        return super().delay(kind, age, rng)

    def task_added(self, kind: str) -> None:
        self._check("task_added", kind)
        super().task_added(kind)

    def task_processing(self, kind: str, after: float, age: float) -> bool:
        self._check("task_processing", kind)
        return super().task_processing(kind, after, age)

    def task_ended(self, kind: str, after: float, age: float) -> bool:
        self._check("task_ended", kind)
        return super().task_ended(kind, after, age)

    def task_removed(self, kind: str, after: float) -> None:
        self._check("task_removed", kind)
        super().task_removed(kind, after)

    def chance(self, kind: str, after: float, age: float) -> float:
        self._check("chance", kind)
        return super().chance(kind, after, age)


@pytest.mark.parametrize(
    "policy",
    [
        FaultyPolicy("delay"),
        FaultyPolicy("delay", first_delay=False),
        FaultyPolicy("task_added"),
        FaultyPolicy("task_processing"),
        FaultyPolicy("chance"),
    ],
    ids=lambda policy: f"{policy.method}-{policy.first_delay}",
)
async def test_an_exception_of_the_policy_ends_the_wait_for_its_task_alone(
    policy: FaultyPolicy,
) -> None:
    scripts = {str(number): [PROCESSING, FINISHED] for number in range(1, 9)}
    service = FakeService(**scripts, **{"0": [PROCESSING]})
    # With a rate, several tasks are due at once, and their chances are compared.
    async with PollScheduler(service.get_task_info, policy=policy, rate=500) as scheduler:
        scheduler.submitted(0, "faulty")
        ended = await scheduler.wait_all(range(9), timeout=60)
        assert len(scheduler) == 0
        scheduler.submitted(0, "faulty")
        with pytest.raises(PhotoAnimerError, match="task 0 cannot be polled"):
            await asyncio.gather(scheduler.wait(0), scheduler.wait_all(range(1, 9)))
    failed = ended.pop(0)
    assert isinstance(failed, PhotoAnimerError)
    assert isinstance(failed.__cause__, RuntimeError)
    assert all(isinstance(info, TaskInfo) for info in ended.values())


async def test_an_exception_of_the_policy_after_the_end_is_logged_and_the_result_returned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service, policy = FakeService(), FaultyPolicy("task_ended")
    async with PollScheduler(service.get_task_info, policy=policy) as scheduler:
        scheduler.submitted("a", "faulty")
        assert (await scheduler.wait("a")).status is FINISHED
    assert "the poll policy raised in task_ended" in caplog.text


async def test_an_exception_of_the_policy_on_removal_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service, policy = FakeService(a=[PROCESSING]), FaultyPolicy("task_removed")
    async with PollScheduler(service.get_task_info, policy=policy) as scheduler:
        scheduler.submitted("a", "faulty")
        with pytest.raises(WaitTimeoutError):
            await scheduler.wait("a", timeout=0.01)
        assert len(scheduler) == 0
    assert "the poll policy raised in task_removed" in caplog.text


async def test_an_exception_while_replanning_ends_the_wait_for_its_task_alone() -> None:
    delays = [3600.0, 0.001]

    class FaultyPlan(AdaptivePolling):
        """Raises when it is asked for a new plan, which is after the first end."""

        def delay(self, kind: str, age: float, rng: Random) -> float:
            if not delays:
                raise RuntimeError("bug")
            return delays.pop(0)

        def task_ended(self, kind: str, after: float, age: float) -> bool:
            return True

    async with PollScheduler(FakeService().get_task_info, policy=FaultyPlan()) as scheduler:
        ended = await scheduler.wait_all(["a", "b"], timeout=60)
    assert isinstance(ended["a"], PhotoAnimerError)
    assert isinstance(ended["a"].__cause__, RuntimeError)
    assert isinstance(ended["b"], TaskInfo)


async def test_thousands_of_concurrent_waits() -> None:
    service = FakeService()
    async with service.scheduler(concurrency=64) as scheduler:
        async with asyncio.TaskGroup() as group:
            waits = [
                group.create_task(scheduler.wait(number, timeout=60)) for number in range(3000)
            ]
        assert [wait.result().task_id for wait in waits] == list(range(3000))
        assert len(scheduler) == 0


async def test_cancelling_a_large_wait_all_does_not_block_the_loop() -> None:
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


async def test_wait_all_of_20000_tasks_needs_no_coroutine_per_task() -> None:
    service = FakeService()
    tasks_before = len(asyncio.all_tasks())
    async with PollScheduler(
        service.get_task_info, concurrency=8, policy=FixedInterval(3600)
    ) as scheduler:
        waiting = asyncio.create_task(scheduler.wait_all(range(20_000), timeout=3600))
        while len(scheduler) < 20_000:
            await asyncio.sleep(0.001)
        assert len(asyncio.all_tasks()) <= tasks_before + 2
        scheduler.notify(19_999)
        while not service.polls:
            await asyncio.sleep(0.001)
        assert service.polls == [19_999]
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(scheduler) == 0


async def test_notify_brings_the_next_poll_forward() -> None:
    service = FakeService(a=[PROCESSING, FINISHED])
    async with PollScheduler(service.get_task_info, policy=FixedInterval(3600)) as scheduler:
        waiting = asyncio.create_task(scheduler.wait("a"))
        for polls in (1, 2):
            await asyncio.sleep(0.005)
            scheduler.notify("a")
            scheduler.notify("a")
            while len(service.polls) < polls:
                await asyncio.sleep(0.001)
        assert (await waiting).status is FINISHED
    assert service.polls == ["a", "a"]


async def test_notify_during_a_poll_causes_another_poll() -> None:
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


async def test_notify_within_some_time_does_not_poll_at_once() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    polls: list[TaskId] = []

    async def get_task_info(task_id: TaskId) -> TaskInfo:
        polls.append(task_id)
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
        assert polls == [1]
        waiting.cancel()


async def test_notify_without_a_waiter_sends_no_poll() -> None:
    service = FakeService()
    async with service.scheduler() as scheduler:
        scheduler.notify("unknown")
        assert (await scheduler.wait("a")).status is FINISHED
        scheduler.notify("a")
        await asyncio.sleep(0.005)
    assert service.polls == ["a"]


async def test_a_task_may_be_polled_at_once_without_a_notification() -> None:
    service, policy = FakeService(a=[PROCESSING, FINISHED]), NotifiedPolling(FixedInterval(0.001))
    async with PollScheduler(service.get_task_info, policy=policy) as scheduler:
        scheduler.submitted("a", "kind")
        await scheduler.wait("a")
        assert not policy.is_trusted  # its end was found before any notification
        policy._policy = FixedInterval(3600)
        assert (await scheduler.wait("a", at_once=True, timeout=60)).status is FINISHED
        assert not policy.is_trusted


async def test_a_rate_spaces_polls_evenly() -> None:
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


async def test_under_a_rate_likely_tasks_are_polled_first_and_none_starves() -> None:
    class ByNumber:
        """Tasks with a higher number are more likely to have ended."""

        def delay(self, kind: str, age: float, rng: Random) -> float:
            return 0.0

        def task_added(self, kind: str) -> None:
            pass

        def task_processing(self, kind: str, after: float, age: float) -> bool:
            return False

        def task_ended(self, kind: str, after: float, age: float) -> bool:
            return False

        def task_removed(self, kind: str, after: float) -> None:
            pass

        def chance(self, kind: str, after: float, age: float) -> float:
            return float(kind)

    service = FakeService(**{str(number): [FINISHED] for number in range(12)})
    async with PollScheduler(service.get_task_info, policy=ByNumber(), rate=200) as scheduler:
        for number in range(12):
            scheduler.submitted(number, str(number))
        await scheduler.wait_all(range(12))
    places = {task_id: place for place, task_id in enumerate(service.polls)}
    assert sorted(places) == list(range(12))
    assert places[11] < 2
    assert places[0] < 8


async def test_polls_of_some_tasks_change_the_plan_for_the_others() -> None:
    service = FakeService(**{str(number): [FINISHED] for number in range(300)})
    policy = AdaptivePolling(0.001, shortest=0.001, longest=600)
    async with PollScheduler(service.get_task_info, policy=policy) as scheduler:
        first_polls = [policy.delay("", 0.0, Random(number)) for number in range(300)]
        assert max(first_polls) > 2
        ended = await scheduler.wait_all(range(300), timeout=60)
    assert all(isinstance(info, TaskInfo) for info in ended.values())
    assert len(service.polls) == 300


async def test_an_id_as_number_and_as_string_is_polled_once() -> None:
    service = FakeService()
    async with service.scheduler() as scheduler:
        ended = await scheduler.wait_all([1, "1", 1])
    assert list(ended) == [1, "1"]
    assert len(service.polls) == 1


async def test_an_error_of_the_iterable_of_ids_is_raised() -> None:
    def ids() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    service = FakeService(**{"1": [PROCESSING]})
    async with service.scheduler() as scheduler:
        with pytest.raises(LookupError, match="no more"):
            await scheduler.wait_all(ids())
        assert len(scheduler) == 0


async def test_a_task_keeps_its_age_between_waits(clock: Clock) -> None:
    ages: list[float] = []

    class Recording:
        def delay(self, kind: str, age: float, rng: Random) -> float:
            ages.append(age)
            return 0.002

    service = FakeService(a=[PROCESSING])
    async with PollScheduler(service.get_task_info, policy=Recording()) as scheduler:
        scheduler.submitted("a", "kind")
        for polls in (2, 4):
            waiting = asyncio.create_task(scheduler.wait("a", timeout=10))
            while len(service.polls) < polls or len(ages) < polls:
                await asyncio.sleep(0.001)
            clock.move_forward(20)
            with pytest.raises(WaitTimeoutError):
                await waiting
    again = ages.index(0.0, 1)
    assert ages[again + 1] > ages[again - 1]

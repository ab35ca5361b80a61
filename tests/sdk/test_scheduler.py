"""Bounded fan-out: with a service that is a function, and intervals of a millisecond."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from photoanimer_async import (
    AuthenticationError,
    NoAnswerError,
    PhotoAnimerError,
    PollScheduler,
    RateLimitedError,
    TaskId,
    TaskInfo,
    TaskStatus,
    WaitTimeoutError,
)

from .conftest import QUICK_POLL, QUICK_RETRY

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

"""Telling an account's address that a task has ended (API page, Interface 2).

The page says nothing of failures and of retries; what is done here is ours. An attempt that is
not answered with a 2xx is followed by others, at times that are the example of Standard
Webhooks: over three days, further and further apart. After the last one the notification is
given up; it is a hint, and getTaskInfo is the truth.

What is pending is in the database (`outbox`), and there it stays until it is known to be taken:
whoever dies in between sends it again, so that it arrives at least once. One loop looks what is
due, and has a bounded number of attempts under way; of each account fewer, so that one receiver
that does not answer does not hold up the others. In which order they arrive is not promised.

What is under way is due in the database too. So that nothing is sent twice, the loop alone
forgets that something is under way, and only before it reads: what it then reads is as the
attempt has left it.
"""

import asyncio
import logging
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Final

from photoanimer_async.redaction import shown_origin
from photoanimer_async.service.notifying.webhooks import DeliveryError, Sender
from photoanimer_async.service.storing import outbox
from photoanimer_async.service.storing.database import Database
from photoanimer_async.service.storing.outbox import Notification

_logger = logging.getLogger(__name__)
AT_ONCE: Final = 32
_AT_ONCE_OF_ACCOUNT: Final = 4
_LONGEST_SLEEP: Final = 60.0  # the wall clock may be set, and a machine may sleep
_AFTER_FAULT: Final = 5.0
_JITTER: Final = 0.2
_LONGEST_RETRY_AFTER: Final = 24 * 3600.0
_LONGEST_GRACE: Final = 2.0


class Outcome(Enum):
    """What came of an attempt."""

    DELIVERED = "delivered"
    POSTPONED = "postponed"
    GIVEN_UP = "given_up"


def pause_before(
    attempts: int, schedule: Sequence[float], retry_after: float, rng: random.Random
) -> float | None:
    """Seconds until the next attempt; `None` if there is none.

    Args:
        attempts: how many were made, at least one.
        schedule: seconds between the attempts.
        retry_after: seconds that the receiver wants to be left alone for.
        rng: adds up to a fifth, so that what failed together does not come again together.
    """
    if attempts > len(schedule):
        return None
    pause = schedule[attempts - 1] * rng.uniform(1.0, 1.0 + _JITTER)
    return max(pause, min(retry_after, _LONGEST_RETRY_AFTER))


class Notifier:
    """Delivers what is in the outbox; made by `running_notifier`.

    Args:
        database: where the outbox is.
        sender: makes the attempts.
        schedule: seconds between the attempts.
        report: is told of every attempt.
    """

    def __init__(
        self,
        database: Database,
        sender: Sender,
        schedule: Sequence[float],
        report: Callable[[Outcome], object],
    ) -> None:
        self._database = database
        self._sender = sender
        self._schedule = schedule
        self._report = report
        self._rng = random.Random()  # noqa: S311 - for jitter
        self._under_way: dict[int, int] = {}
        self._ended: list[int] = []
        self._changed = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """There may be something new in the outbox."""
        self._changed.set()

    def stop(self) -> None:
        """Begin no other attempt; `run` ends with those under way."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver, until it is stopped."""
        async with asyncio.TaskGroup() as attempts:
            while not self._stopping:
                self._changed.clear()
                try:
                    pause = await self._start_due(attempts)
                except sqlite3.Error:
                    _logger.exception("event=outbox_not_read")
                    pause = _AFTER_FAULT
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()

    async def _start_due(self, attempts: asyncio.TaskGroup) -> float:
        """Start what is due and has room; seconds until something else may be due."""
        while not self._stopping:
            for number in self._ended:
                del self._under_way[number]
            self._ended.clear()
            now = time.time()
            begun = [
                attempts.create_task(self._attempt(each)) for each in await self._next_ones(now)
            ]
            if not begun:
                break
        later = await self._database.read(lambda connection: outbox.next_due(connection, now))
        return min(_LONGEST_SLEEP, _LONGEST_SLEEP if later is None else later - now)

    async def _next_ones(self, now: float) -> list[Notification]:
        """What can begin now; it counts as under way from here on."""
        of_account = Counter(self._under_way.values())
        busy = [account for account, n in of_account.items() if n >= _AT_ONCE_OF_ACCOUNT]
        # Those under way are found again, so that twice as many are enough.
        found = await self._database.read(
            lambda connection: outbox.due(connection, now, busy, 2 * AT_ONCE)
        )
        chosen: list[Notification] = []
        for each in found:
            if (
                each.number not in self._under_way
                and of_account[each.account] < _AT_ONCE_OF_ACCOUNT
                and len(self._under_way) < AT_ONCE
            ):
                of_account[each.account] += 1
                self._under_way[each.number] = each.account
                chosen.append(each)
        return chosen

    async def _attempt(self, notification: Notification) -> None:
        try:
            try:
                await self._sender.send(notification)
            except DeliveryError as error:
                await self._try_again_later(notification, error)
            except Exception:
                _logger.exception("task=%d event=sender_fault", notification.task_id)
                await self._try_again_later(notification, DeliveryError("fault"))
            else:
                await self._delivered(notification)
        except sqlite3.Error:
            _logger.exception("task=%d event=notification_stuck", notification.task_id)
            await asyncio.sleep(_AFTER_FAULT)
        finally:
            self._ended.append(notification.number)
            self._changed.set()

    async def _delivered(self, notification: Notification) -> None:
        await self._database.write(
            lambda connection: outbox.remove(connection, notification.number)
        )
        self._report(Outcome.DELIVERED)
        _logger.info(
            "task=%d event=notified attempt=%d", notification.task_id, notification.attempts + 1
        )

    async def _try_again_later(self, notification: Notification, error: DeliveryError) -> None:
        made, number = notification.attempts + 1, notification.number
        pause = pause_before(made, self._schedule, error.retry_after, self._rng)
        if pause is None or error.is_final:
            await self._database.write(lambda connection: outbox.remove(connection, number))
            outcome, event = Outcome.GIVEN_UP, "notification_given_up"
        else:
            until = time.time() + pause
            await self._database.write(
                lambda connection: outbox.postpone(connection, number, until)
            )
            outcome, event = Outcome.POSTPONED, "not_notified"
        self._report(outcome)
        _logger.warning(
            "task=%d event=%s host=%s why=%s attempt=%d next_in=%s",
            notification.task_id,
            event,
            shown_origin(notification.url),
            error.why,
            made,
            None if outcome is Outcome.GIVEN_UP else round(pause or 0.0, 1),
        )


@asynccontextmanager
async def running_notifier(
    database: Database,
    sender: Sender,
    schedule: Sequence[float],
    *,
    report: Callable[[Outcome], object],
    drain_seconds: float,
) -> AsyncIterator[Notifier]:
    """A notifier that runs for as long as the block lasts.

    At the end, attempts under way are waited for, `drain_seconds` but no more than two seconds;
    those that take longer are made again after the next start.
    """
    notifier = Notifier(database, sender, schedule, report)
    running = asyncio.create_task(notifier.run())
    try:
        yield notifier
    finally:
        notifier.stop()
        await asyncio.wait([running], timeout=min(drain_seconds, _LONGEST_GRACE))
        running.cancel()
        await asyncio.wait([running])

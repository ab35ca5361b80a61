"""Delivery of the outbox, with retries.

One loop reads the notifications that are due and starts a bounded number of attempts; fewer for
each account, so that a receiver that does not answer does not delay the others.

A notification that is being attempted is still due in the database. To start no second attempt,
the loop excludes the numbers in `_under_way`. An attempt that has ended is removed from there by
the loop alone, and only before it reads the database again: what it reads then includes what the
attempt has written.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Final

from photoanimer_async.redaction import shown_error, shown_origin
from photoanimer_async.service.notifying.webhooks import DeliveryError, Sender
from photoanimer_async.service.shortages import log_trouble
from photoanimer_async.service.storing import outbox
from photoanimer_async.service.storing.database import Database
from photoanimer_async.service.storing.outbox import Notification

AT_ONCE: Final = 32
"""Number of attempts at the same time."""

_logger = logging.getLogger(__name__)
_AT_ONCE_PER_ACCOUNT: Final = 4
_LONGEST_SLEEP: Final = 60.0  # the wall clock may be set, and a machine may sleep
_PAUSE_AFTER_ERROR: Final = 5.0
_JITTER: Final = 0.2
_LONGEST_RETRY_AFTER: Final = 24 * 3600.0
_LONGEST_DRAIN: Final = 2.0


class DeliveryOutcome(Enum):
    """The outcome of an attempt."""

    DELIVERED = "delivered"
    POSTPONED = "postponed"
    GIVEN_UP = "given_up"


def retry_delay(
    attempts: int, schedule: Sequence[float], retry_after: float, rng: random.Random
) -> float | None:
    """Return the seconds until the next attempt; `None` if there is none.

    Args:
        attempts: number of attempts made, at least 1.
        schedule: seconds between the attempts.
        retry_after: seconds that the receiver asked to wait; at most a day of it counts.
        rng: adds up to 20 % to the schedule, so that notifications that failed together are not
            retried together.
    """
    if attempts > len(schedule):
        return None
    delay = schedule[attempts - 1] * rng.uniform(1.0, 1.0 + _JITTER)
    return max(delay, min(retry_after, _LONGEST_RETRY_AFTER))


class Notifier:
    """Delivers the notifications of the outbox; create it with `running_notifier`.

    Args:
        database: the database with the outbox.
        sender: makes the attempts.
        schedule: seconds between the attempts for one notification.
        on_attempt: called with the outcome of every attempt.
    """

    def __init__(
        self,
        database: Database,
        sender: Sender,
        schedule: Sequence[float],
        on_attempt: Callable[[DeliveryOutcome], object],
    ) -> None:
        self._database = database
        self._sender = sender
        self._schedule = schedule
        self._on_attempt = on_attempt
        self._rng = random.Random()  # noqa: S311 - for jitter
        self._under_way: dict[int, int] = {}  # number of the notification → account
        self._ended: list[int] = []
        self._changed = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Read the outbox again: a notification may have been added."""
        self._changed.set()

    def stop(self) -> None:
        """Start no more attempts; `run` returns when the current ones have ended."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver notifications until `stop` is called."""
        async with asyncio.TaskGroup() as attempts:
            while not self._stopping:
                self._changed.clear()
                try:
                    pause = await self._start_due(attempts)
                except Exception as error:  # noqa: BLE001 - logged, and tried again
                    log_trouble(_logger, error, "event=outbox_not_read")
                    pause = _PAUSE_AFTER_ERROR
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()

    async def _start_due(self, attempts: asyncio.TaskGroup) -> float:
        """Start attempts until none is due or no slot is free; return seconds until the next."""
        while not self._stopping:
            for number in self._ended:
                del self._under_way[number]
            self._ended.clear()
            now = time.time()
            started = [
                attempts.create_task(self._attempt(each)) for each in await self._next_batch(now)
            ]
            if not started:
                break
        later = await self._database.read(lambda connection: outbox.next_due(connection, now))
        return min(_LONGEST_SLEEP, _LONGEST_SLEEP if later is None else later - now)

    async def _next_batch(self, now: float) -> list[Notification]:
        """Return the notifications to attempt now, and count them as under way."""
        per_account = Counter(self._under_way.values())
        busy = [account for account, n in per_account.items() if n >= _AT_ONCE_PER_ACCOUNT]
        # The query finds those under way too, so it reads twice as many as there are slots.
        found = await self._database.read(
            lambda connection: outbox.due(connection, now, busy, 2 * AT_ONCE)
        )
        chosen: list[Notification] = []
        for each in found:
            if (
                each.number not in self._under_way
                and per_account[each.account] < _AT_ONCE_PER_ACCOUNT
                and len(self._under_way) < AT_ONCE
            ):
                per_account[each.account] += 1
                self._under_way[each.number] = each.account
                chosen.append(each)
        return chosen

    async def _attempt(self, notification: Notification) -> None:
        try:
            try:
                await self._sender.send(notification)
            except DeliveryError as error:
                await self._postpone(notification, error)
            except Exception as error:  # its text may contain the receiver's URL
                fault = shown_error(error)
                task_id = notification.task_id
                _logger.exception("task=%d event=sender_fault", task_id, exc_info=fault)
                await self._postpone(notification, DeliveryError("fault"))
            else:
                await self._remove_delivered(notification)
        except Exception as error:  # noqa: BLE001 - logged; it is still due, and sent again
            log_trouble(_logger, error, "task=%d event=notification_stuck", notification.task_id)
            await asyncio.sleep(_PAUSE_AFTER_ERROR)
        finally:
            self._ended.append(notification.number)
            self._changed.set()

    async def _remove_delivered(self, notification: Notification) -> None:
        await self._database.write(
            lambda connection: outbox.remove(connection, notification.number)
        )
        self._on_attempt(DeliveryOutcome.DELIVERED)
        _logger.info(
            "task=%d event=notified attempt=%d", notification.task_id, notification.attempts + 1
        )

    async def _postpone(self, notification: Notification, error: DeliveryError) -> None:
        """Schedule the next attempt, or give up after the last one."""
        made, number = notification.attempts + 1, notification.number
        delay = retry_delay(made, self._schedule, error.retry_after, self._rng)
        if delay is None or error.is_final:
            await self._database.write(lambda connection: outbox.remove(connection, number))
            outcome, event = DeliveryOutcome.GIVEN_UP, "notification_given_up"
        else:
            until = time.time() + delay
            await self._database.write(
                lambda connection: outbox.postpone(connection, number, until)
            )
            outcome, event = DeliveryOutcome.POSTPONED, "not_notified"
        self._on_attempt(outcome)
        _logger.warning(
            "task=%d event=%s host=%s why=%s attempt=%d next_in=%s",
            notification.task_id,
            event,
            shown_origin(notification.url),
            error.why,
            made,
            None if outcome is DeliveryOutcome.GIVEN_UP else round(delay or 0.0, 1),
        )


@asynccontextmanager
async def running_notifier(
    database: Database,
    sender: Sender,
    schedule: Sequence[float],
    *,
    on_attempt: Callable[[DeliveryOutcome], object],
    drain_seconds: float,
) -> AsyncIterator[Notifier]:
    """Run a notifier for the duration of the block.

    At the end, attempts under way get `drain_seconds`, but at most two seconds, to finish; those
    that take longer are repeated after the next start.
    """
    notifier = Notifier(database, sender, schedule, on_attempt)
    running = asyncio.create_task(notifier.run())
    try:
        yield notifier
    finally:
        notifier.stop()
        await asyncio.wait([running], timeout=min(drain_seconds, _LONGEST_DRAIN))
        running.cancel()
        await asyncio.wait([running])

"""A log of events that each request can repeat, as while a fault lasts."""

import asyncio
import logging
from typing import Final

from photoanimer_async.redaction import shown_error, without_queries

_SECONDS: Final = 60.0


class ThrottledLog:
    """Logs an event at most once a minute, and how many equal ones were left out meanwhile.

        log = ThrottledLog(logger)
        log.event(logging.WARNING, "event=shortage route=%s", "/x")

    It belongs to the event loop in which it is used.

    Args:
        logger: where to log.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._left_out: dict[tuple[object, ...], int] = {}

    def event(
        self, level: int, event: str, *values: object, error: BaseException | None = None
    ) -> None:
        """Log an event, or count it if an equal one was logged within the last minute.

        Args:
            level: the level, as `logging.WARNING`.
            event: the format, in pairs `name=value`.
            values: what is formatted; each combination is an event of its own, so few can occur.
            error: its traceback is logged with the first event, without queries of URLs.
        """
        if (event, *values) in self._left_out:
            self._left_out[event, *values] += 1
            return
        shown = None if error is None else shown_error(error, without_queries(str(error)))
        self._logger.log(level, event, *values, exc_info=shown)
        self._begin_minute(level, event, values)

    def _begin_minute(self, level: int, event: str, values: tuple[object, ...]) -> None:
        self._left_out[event, *values] = 0
        asyncio.get_running_loop().call_later(_SECONDS, self._end_minute, level, event, values)

    def _end_minute(self, level: int, event: str, values: tuple[object, ...]) -> None:
        left_out = self._left_out.pop((event, *values))
        if left_out:
            self._logger.log(level, f"{event} left_out=%d", *values, left_out)  # noqa: G004 - JSON logs need it
            self._begin_minute(level, event, values)

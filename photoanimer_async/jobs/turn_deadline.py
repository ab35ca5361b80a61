"""The time within which a submit has to get its turn."""

import asyncio
from types import TracebackType
from typing import Self

from photoanimer_async.errors import NotSentError, PhotoAnimerError


class TurnDeadline:
    """Limits the wait for a turn, and never the wait for the answer to a submit that was sent.

        async with TurnDeadline(3.0) as deadline:
            ...                        # wait for a turn, as long as it takes
            deadline.suspend()
            ...                        # send the submit

    Args:
        seconds: from now on; `None` for no limit.

    Raises:
        PhotoAnimerError: the time is over; the last refusal, else a `NotSentError`.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._refusal: PhotoAnimerError | None = None
        self._when: float | None = None
        self._scope = asyncio.timeout(seconds)

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._when = self._scope.when()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            failure = self._refusal or NotSentError(
                f"not submitted: there was no turn within {self._seconds:g} s"
            )
        else:
            return
        raise failure

    def suspend(self) -> None:
        """Stop the clock: the submit is being sent."""
        self._scope.reschedule(None)

    def resume(self, refusal: PhotoAnimerError) -> None:
        """Start the clock again: the submit was not sent, or was refused."""
        self._refusal = refusal
        self._scope.reschedule(self._when)

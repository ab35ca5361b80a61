"""Which failure of which operation may be tried again, and after how long.

Retry belongs to the operation, not to the HTTP verb: every call of this API is a GET, but a
submit costs money each time it arrives. So a submit goes out again only where it provably
never left, or was definitely refused for a passing reason. Reads go out again after anything
that may pass.
"""

from collections.abc import Generator
from enum import Enum, auto
from random import Random

from attrs import frozen

from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    NoAnswerError,
    NotSentError,
    PhotoAnimerError,
    RateLimitedError,
    RefusedRequestError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)


class Verdict(Enum):
    """What is to be done after a failure."""

    TRY_AGAIN = auto()
    GIVE_UP = auto()
    AMBIGUOUS = auto()
    """A submit that may have been accepted: neither repeated nor taken for refused."""


def verdict(operation: Operation, error: PhotoAnimerError) -> Verdict:
    """What the failure of one attempt means."""
    if operation is Operation.SUBMIT:
        return _verdict_on_submit(error)
    match error:
        case AuthenticationError() | InsufficientCreditsError() | RefusedRequestError():
            return Verdict.GIVE_UP
        case NotSentError() | NoAnswerError() | UnexpectedResponseError() | ApiError():
            return Verdict.TRY_AGAIN
        case _:
            return Verdict.GIVE_UP


def _verdict_on_submit(error: PhotoAnimerError) -> Verdict:
    match error:
        case NotSentError() | RateLimitedError():
            return Verdict.TRY_AGAIN
        case ServiceUnavailableError(http_status=503):
            return Verdict.TRY_AGAIN
        case NoAnswerError() | UnexpectedResponseError():
            return Verdict.AMBIGUOUS
        case ApiError(http_status=status) if status >= 500 or status == 408:  # noqa: PLR2004 - the HTTP statuses that leave it open
            return Verdict.AMBIGUOUS
        case _:
            return Verdict.GIVE_UP


@frozen
class RetryPolicy:
    """How often, and how patiently.

    Attributes:
        tries: attempts in all, the first one included.
        first_wait: seconds before the second attempt; doubled each time.
        longest_wait: seconds that a wait of our own never passes.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def wait(self, failures: int, error: BaseException, rng: Random) -> float:
        """Seconds to wait after so many failures in a row, the last of which is `error`.

        What the service asks for (`Retry-After`) is a floor. Chance adds to it, and takes up
        to half from a wait of our own, so that many clients do not come back together.
        """
        own = min(self.first_wait * 2.0 ** min(failures - 1, 30), self.longest_wait)
        floor: float = getattr(error, "retry_after", None) or 0.0
        return max(own * rng.uniform(0.5, 1.0), floor * rng.uniform(1.0, 1.1))


def waits(policy: RetryPolicy, rng: Random) -> Generator[float, BaseException, None]:
    """A wait generator for `backoff`, which sends in each failure and gets back its wait."""
    failures = 0
    error = yield 0.0
    while True:
        failures += 1
        error = yield policy.wait(failures, error, rng)

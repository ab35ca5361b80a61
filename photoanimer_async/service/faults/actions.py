"""The actions of a fault script: what a fault does.

`grammar` says how each action is written, and which values its attributes may have.
"""

from enum import Enum

from attrs import frozen


class When(Enum):
    """Whether a fault occurs before the service acts on a request, or after it has acted."""

    BEFORE = "before"
    AFTER = "after"


@frozen
class Status:
    """An HTTP error without an envelope, as a proxy sends it.

    Attributes:
        status: the HTTP status, 400 to 599.
        retry_after: the header `Retry-After`, in whole seconds.
        when: before or after the service acts.
    """

    status: int
    retry_after: int | None = None
    when: When = When.BEFORE


@frozen
class Refuse:
    """An error in an envelope; the service does not act.

    Attributes:
        code: the envelope's `code`, not 0.
        message: its `msg`; by default the meaning of the code.
        status: the HTTP status, 200 to 599.
        retry_after: the header `Retry-After`, in whole seconds.
    """

    code: int
    message: str | None = None
    status: int = 200
    retry_after: int | None = None


@frozen
class Html:
    """An HTML page with HTTP status 200, as captive portals and some proxies send it."""

    when: When = When.BEFORE


@frozen
class Reset:
    """A connection reset in place of an answer."""

    when: When = When.BEFORE


@frozen
class Timeout:
    """No answer: the connection stays open until the caller closes it."""

    when: When = When.BEFORE


@frozen
class Delay:
    """An answer or a notification that is sent this many seconds late."""

    seconds: float


@frozen
class Drip:
    """An answer whose body is sent in pieces over this many seconds."""

    seconds: float


@frozen
class Truncate:
    """An answer whose connection ends after this percentage of its body, 0 to 99."""

    percent: int


@frozen
class Expired:
    """A result link that has expired: HTTP status 403, as file stores send it."""


@frozen
class Takes:
    """How long a task is processed: a time or a number of polls, exactly one of the two.

    Attributes:
        seconds: the shortest time.
        polls: how many polls find the task still processing; independent of time.
    """

    seconds: float | None = None
    polls: int | None = None

    def __attrs_post_init__(self) -> None:
        if (self.seconds is None) == (self.polls is None):
            raise ValueError("takes needs either seconds or polls: takes 2s, takes 3 polls")


@frozen
class Fail:
    """A task that ends with status 2.

    Attributes:
        code: its `failCode`; by default the code for a photo without a face.
        reason: its `failReason`; by default the meaning of the code.
    """

    code: int = 7001
    reason: str | None = None


@frozen
class Drop:
    """A notification that is never sent."""


@frozen
class Duplicate:
    """A notification that is sent twice."""


ResponseAction = Status | Refuse | Html | Reset | Timeout | Delay | Drip | Truncate | Expired
NotificationAction = Drop | Duplicate | Delay
Action = ResponseAction | NotificationAction | Takes | Fail

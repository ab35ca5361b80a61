"""One photo's task, from its acceptance to its end."""

import random
import secrets
from enum import IntEnum

from attrs import frozen

_SMALLEST_ID = 10**14


class TaskStatus(IntEnum):
    """How far a task is (API page, Interface 3)."""

    PROCESSING = 0
    FINISHED = 1
    FAILED = 2


@frozen(kw_only=True)
class Task:
    """An accepted task, as it is written down.

    Attributes:
        task_id: 15 digits, in no sequence.
        account: number of the account that it belongs to.
        template: the expression, 0 to 5.
        gif: whether a GIF is made beside the video.
        voice: whether the mouth follows a sound.
        token: unguessable name of the result files.
        origin: scheme and host that the submit came to, for links in notifications.
        status: how far it is.
        fail_code: why it failed, as a number of the table of errors.
        fail_reason: the same in words.
    """

    task_id: int
    account: int = 0
    template: int
    gif: bool
    voice: bool
    token: str
    origin: str
    status: TaskStatus = TaskStatus.PROCESSING
    fail_code: int | None = None
    fail_reason: str | None = None

    def mp4_url(self, origin: str) -> str:
        """The link to the video, at a service that is reached at `origin`."""
        return f"{origin}/results/{self.token}.mp4"

    def gif_url(self, origin: str) -> str:
        """The link to the GIF."""
        return f"{origin}/results/{self.token}.gif"


def new_task_id() -> int:
    """A random number of 15 digits: exact in a JSON number of every language.

    It is no secret: whose a task is says its account.
    """
    return random.randrange(_SMALLEST_ID, 10 * _SMALLEST_ID)  # noqa: S311 - no secret


def new_token() -> str:
    """32 characters that can not be guessed, safe in a path."""
    return secrets.token_urlsafe(24)

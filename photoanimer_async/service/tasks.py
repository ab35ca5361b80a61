"""One photo's task, from its acceptance to its end."""

import random
import secrets
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from attrs import frozen

_SMALLEST_ID: Final = 10**14
_BLOCK: Final = 1000


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


def new_task_ids() -> Iterator[int]:
    """Numbers of 15 digits, exact in the JSON of every language, and in no sequence.

    They are no secret, as a task is its account's alone. They come in shuffled blocks of
    neighbours, which an index holds on few pages; where the first block is, is chance.
    """
    block = random.randrange(_SMALLEST_ID, 9 * _SMALLEST_ID)  # noqa: S311 - no secret
    while True:
        yield from random.sample(range(block, block + _BLOCK), _BLOCK)
        block += _BLOCK


def new_token() -> str:
    """32 characters that can not be guessed, safe in a path."""
    return secrets.token_urlsafe(24)

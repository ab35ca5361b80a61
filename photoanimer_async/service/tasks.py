"""A task of the service, and the ids and tokens of new ones."""

import random
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from attrs import field, frozen

_SMALLEST_ID: Final = 10**14
_BLOCK: Final = 1000
_TOKEN_BYTES: Final = 24
_TOKENS_AT_ONCE: Final = 64


class TaskStatus(IntEnum):
    """The status of a task (API page, Interface 3)."""

    PROCESSING = 0
    FINISHED = 1
    FAILED = 2


@frozen(kw_only=True)
class Task:
    """An accepted task, as stored in the database.

    Attributes:
        task_id: 15 digits, not consecutive.
        account: number of the account that it belongs to.
        template: the expression, 0 to 5.
        gif: whether a GIF is made in addition to the video.
        voice: whether the mouth follows a voice file.
        token: the name of the result files, which cannot be guessed.
        origin: scheme and host for the links in notifications.
        status: processing, finished or failed.
        fail_code: the error code of a failed task.
        fail_reason: what went wrong, in words.
    """

    task_id: int
    account: int = 0
    template: int
    gif: bool
    voice: bool
    token: str = field(repr=False)
    origin: str
    status: TaskStatus = TaskStatus.PROCESSING
    fail_code: int | None = None
    fail_reason: str | None = None

    def mp4_url(self, origin: str) -> str:
        """Return the link to the video at a service with this scheme and host."""
        return f"{origin}/results/{self.token}.mp4"

    def gif_url(self, origin: str) -> str:
        """Return the link to the GIF."""
        return f"{origin}/results/{self.token}.gif"


def new_task_ids() -> Iterator[int]:
    """Yield task ids: numbers of 15 digits, exact in every language's JSON, not consecutive.

    Ids are not secret, since only a task's own account can use them. They come in shuffled
    blocks of neighbours, so that the database's index touches few pages; the first block starts
    at a random number.
    """
    block = random.randrange(_SMALLEST_ID, 9 * _SMALLEST_ID)  # noqa: S311 - not a secret
    while True:
        yield from random.sample(range(block, block + _BLOCK), _BLOCK)
        block += _BLOCK


def new_tokens() -> Iterator[str]:
    """Yield tokens of 32 characters that cannot be guessed and are safe in a path.

    The system is asked for random bytes of several at once: each call gives up the interpreter to
    other threads.
    """
    while True:
        drawn = secrets.token_bytes(_TOKENS_AT_ONCE * _TOKEN_BYTES)
        for start in range(0, len(drawn), _TOKEN_BYTES):
            yield urlsafe_b64encode(drawn[start : start + _TOKEN_BYTES]).decode()

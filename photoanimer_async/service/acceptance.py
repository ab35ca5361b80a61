"""Accepts submits: fetches the files, checks them, stores the task with its charge, queues it.

A task, its files and its charge are in the database before the submit is answered. An error before
that is answered at once, and nothing is kept or charged. A request that its sender abandons stops
being served, and leaves nothing either, until the task is being stored: that is always finished.
An error that appears only when the photo is decoded ends the task with status 2.
"""

import logging
from typing import BinaryIO, Final, Protocol

from attrs import define

from photoanimer_async.photos.header import (
    PictureFlawError,
    PictureHeader,
    read_header,
    require_few_scans,
)
from photoanimer_async.service.error_codes import (
    IMAGE_TOO_LARGE,
    IMAGE_TOO_MANY_PIXELS,
    IMAGE_UNPROCESSABLE,
    IMAGE_UNREACHABLE,
    INSUFFICIENT_CREDITS,
    PARAMETER_INVALID,
    QUEUE_FULL,
    VOICE_TOO_LARGE,
    VOICE_UNREACHABLE,
    ErrorCode,
    RequestRefusedError,
)
from photoanimer_async.service.fair_shares import FairSlots, FairTurns
from photoanimer_async.service.fetching.fetcher import (
    FetchError,
    FileTooLargeError,
    UnsuitableUrlError,
)
from photoanimer_async.service.fetching.received_file import ReceivedFile
from photoanimer_async.service.http.parameters import Submission, highest_cost, shown_argument
from photoanimer_async.service.rendering.render_queue import RenderQueue
from photoanimer_async.service.settings import ServiceSettings
from photoanimer_async.service.storing.accounts import Account
from photoanimer_async.service.storing.ledger import InsufficientBalanceError
from photoanimer_async.service.storing.task_store import Inputs, TaskIdTakenError, TaskStore
from photoanimer_async.service.tasks import Task, new_task_ids, new_tokens

_logger = logging.getLogger(__name__)
_MOST_HELD: Final = 256
_ACCEPT_IMAGE = "image/png, image/jpeg, image/bmp, image/webp, */*;q=0.1"
_ACCEPT_VOICE = "audio/*, */*;q=0.1"


class FileSource(Protocol):
    """Fetches photos and voices."""

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> ReceivedFile:
        """Return the file at a URL; see `Fetcher.fetch`."""
        ...


@define(eq=False)
class _ReceivedInputs:
    """The fetched files of a submit until its task is stored."""

    photo: ReceivedFile | None = None
    voice: ReceivedFile | None = None

    def read(self) -> Inputs:
        """Return them in memory."""
        assert self.photo is not None  # noqa: S101 - it was fetched first
        return Inputs(self.photo.read(), None if self.voice is None else self.voice.read())

    def close(self) -> None:
        """Forget them."""
        for file in (self.photo, self.voice):
            if file is not None:
                file.close()


class Acceptance:
    """Turns submits into tasks.

        task = await acceptance.accept(parse_submission(request.query), account, origin)

    Args:
        settings: the limits of files and the balance of accounts without limit.
        fetcher: fetches the photo and the voice.
        store: stores the task.
        queue: renders it.
        downloads: bounds the downloads at the same time.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        fetcher: FileSource,
        store: TaskStore,
        queue: RenderQueue,
        downloads: FairSlots,
    ) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._store = store
        self._queue = queue
        self._downloads = downloads
        self._turns = FairTurns()
        self._holding: set[_ReceivedInputs] = set()
        self._new_task_ids = new_task_ids()
        self._new_tokens = new_tokens()

    async def accept(self, submission: Submission, account: Account, origin: str) -> Task:
        """Store, charge and queue the task of a submit, and return it.

        Args:
            submission: the parameters of the submit.
            account: the account that pays.
            origin: scheme and host for the links to the results.

        Raises:
            RequestRefusedError: the submit is not accepted; nothing was kept or charged.
        """
        self._queue.reserve(account.number)
        inputs = _ReceivedInputs()
        try:
            await self._check_balance(submission, account)
            turn = await self._turns.take(account.number)
            try:
                await self._fetch_inputs(submission, account, inputs)
                task = await self._store_task(submission, account, origin, inputs)
            finally:
                turn.end()
        except BaseException:
            self._queue.release(account.number)
            raise
        finally:
            self._holding.discard(inputs)
            inputs.close()
        self._queue.put(task)
        _logger.info(
            "task=%d event=accepted template=%d gif=%s voice=%s bytes=%d",
            task.task_id,
            task.template,
            task.gif,
            task.voice,
            0 if inputs.photo is None else inputs.photo.size,
        )
        return task

    def _require_room(self) -> None:
        """Refuse a submit while too many others have their files in hand.

        The downloads are bounded anyway, so this happens only if storing falls behind.
        """
        if len(self._holding) >= _MOST_HELD:
            raise RequestRefusedError(
                QUEUE_FULL,
                f"{len(self._holding)} tasks are about to be stored; try again later",
                retry_after=1.0,
            )

    async def _fetch_inputs(
        self, submission: Submission, account: Account, inputs: _ReceivedInputs
    ) -> None:
        await self._downloads.take(account.number)
        try:
            self._require_room()
            self._holding.add(inputs)
            inputs.photo = await self._fetch_image(submission.image_url)
            if submission.voice_url is not None:
                inputs.voice = await self._fetch_voice(submission.voice_url)
        finally:
            self._downloads.give_back(account.number)

    async def _check_balance(self, submission: Submission, account: Account) -> None:
        """Refuse a submit that costs too much, before fetching; `TaskStore.add` checks again."""
        cost = self._cost(submission)
        left = self._settings.video_balance if account.balance is None else account.balance
        if left < cost and account.balance is not None:
            # The account may have been credited since it was read.
            left = await self._store.balance(account.number) or 0.0
        if left < cost:
            raise self._insufficient(submission, left)

    def _cost(self, submission: Submission) -> float:
        """Return what a submit is charged: with a voice, as for the longest one."""
        has_voice = submission.voice_url is not None
        return highest_cost(
            submission.template, self._settings.voice_seconds if has_voice else None
        )

    def _insufficient(self, submission: Submission, balance: float) -> RequestRefusedError:
        costs = "costs" if submission.voice_url is None else "with a voice costs up to"
        return RequestRefusedError(
            INSUFFICIENT_CREDITS,
            f"Insufficient credits: templateId {submission.template} {costs} "
            f"{self._cost(submission):g} video seconds, the balance is {round(balance, 2):.15g}",
        )

    async def _fetch_image(self, url: str) -> ReceivedFile:
        image = await self._fetch(
            "imageUrl",
            url,
            (IMAGE_UNREACHABLE, IMAGE_TOO_LARGE),
            size_limit=self._settings.image_bytes,
            accept=_ACCEPT_IMAGE,
        )
        try:
            await self._check_image(image, url)
        except BaseException:
            image.close()
            raise
        return image

    async def _check_image(self, image: ReceivedFile, url: str) -> None:
        try:
            header = await image.use(_read_acceptable_header)
        except PictureFlawError as error:
            raise RequestRefusedError(
                IMAGE_UNPROCESSABLE, f"imageUrl ({shown_argument(url)}) {error}"
            ) from error
        limit = self._settings.image_pixels
        if max(header.width, header.height) > limit:
            raise RequestRefusedError(
                IMAGE_TOO_MANY_PIXELS,
                f"imageUrl ({shown_argument(url)}) is a {header.format.name} of "
                f"{header.width}x{header.height} pixels; allowed are at most {limit}x{limit}",
            )

    async def _fetch_voice(self, url: str) -> ReceivedFile:
        return await self._fetch(
            "voiceUrl",
            url,
            (VOICE_UNREACHABLE, VOICE_TOO_LARGE),
            size_limit=self._settings.voice_bytes,
            accept=_ACCEPT_VOICE,
        )

    async def _fetch(
        self,
        name: str,
        url: str,
        codes: tuple[ErrorCode, ErrorCode],
        *,
        size_limit: int,
        accept: str,
    ) -> ReceivedFile:
        unreachable, too_large = codes
        try:
            return await self._fetcher.fetch(url, size_limit=size_limit, accept=accept)
        except FileTooLargeError as error:
            code, problem = too_large, f"is too large: {error}"
        except UnsuitableUrlError as error:
            code, problem = PARAMETER_INVALID, f"is not allowed: {error}"
        except FetchError as error:
            code, problem = unreachable, f"could not be fetched: {error}"
        raise RequestRefusedError(code, f"{name} ({shown_argument(url)}) {problem}")

    async def _store_task(
        self, submission: Submission, account: Account, origin: str, inputs: _ReceivedInputs
    ) -> Task:
        while True:
            task = Task(
                task_id=next(self._new_task_ids),
                account=account.number,
                template=submission.template,
                gif=submission.gif,
                voice=inputs.voice is not None,
                token=next(self._new_tokens),
                origin=origin,
            )
            try:
                await self._store.add(task, inputs.read)
            except TaskIdTakenError:
                continue
            except InsufficientBalanceError as error:
                raise self._insufficient(submission, error.balance) from error
            return task


def _read_acceptable_header(photo: BinaryIO) -> PictureHeader:
    """Return a photo's header; a renderer would spend a minute on some that are not accepted."""
    header = read_header(photo)
    require_few_scans(photo, header.format)
    return header

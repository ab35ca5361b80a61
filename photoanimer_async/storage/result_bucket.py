"""Results as objects of an object store: each has a name of its own, and is complete or absent.

How it works. Up to 8 MiB of a download are held in memory; most results are smaller and become
an object by one request that fails if the name is taken. Larger ones are uploaded in parts
while they are downloaded. The complete upload is an object with a random name under `.part/`,
which is copied to the final name, again only if that is free, and then deleted. Nothing is
written to the disk.

A failed upload in parts is aborted. A killed process can leave an unfinished upload behind, or
for a moment an object under `.part/`, but never half a result.
"""

import asyncio
import hashlib
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import PurePosixPath

from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Location, Photo
from photoanimer_async.photos.cancellation import finish_despite_cancel
from photoanimer_async.redaction import printable
from photoanimer_async.storage.object_store import Bucket, MultipartUpload, ObjectStoreError
from photoanimer_async.storage.result_names import numbered, result_name

_log = logging.getLogger(__name__)

_MAX_BUFFERED_BYTES = 8 * 1024 * 1024
_COMMIT_SECONDS = 20.0
_DISCARD_SECONDS = 10.0
_CONTENT_TYPES = {".mp4": "video/mp4", ".gif": "image/gif"}


class ObjectDestination:
    """An object as the target of a download; see `Destination`.

    Args:
        bucket: where to store it.
        name: the object's name in the bucket.
    """

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._reset()

    def _reset(self) -> None:
        self._content_type = _CONTENT_TYPES.get(PurePosixPath(self._name).suffix, "video/mp4")
        self._size = 0
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._part_name = f".part/{secrets.token_hex(16)}"
        self._upload: MultipartUpload | None = None
        self._has_part = False

    @property
    def location(self) -> str:
        """The object's URL."""
        return self._url(self._name)

    async def begin(self, suffix: str) -> None:
        """Forget what was written before."""
        self._name = str(PurePosixPath(self._name).with_suffix(suffix))
        self._reset()

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Buffer the data; upload the buffer if it has grown beyond 8 MiB."""
        if offset != self._size:
            assert not offset  # noqa: S101 - a download continues where it is, or begins again
            await self.discard()
        self._size += len(data)
        self._digest.update(data)
        self._buffer += data
        if len(self._buffer) > _MAX_BUFFERED_BYTES:
            with _download_errors(self.location):
                await self._send_buffer()

    async def commit(self) -> str:
        """Create the object under its final name, and return its URL.

        A cancellation waits for it, since an upload cannot be aborted halfway to an object.
        """
        return await finish_despite_cancel(self._commit(), within=_COMMIT_SECONDS)

    async def _commit(self) -> str:
        with _download_errors(self.location):
            if self._upload is not None:
                await self._send_buffer()
                self._has_part = True
                await self._upload.complete()
                self._upload = None
            for number in itertools.count(1):
                name = numbered(self._name, number)
                if await self._create(name) or await self._is_stored(name):
                    break
        await self.discard()
        return self._url(name)

    async def discard(self) -> None:
        """Abort the upload that has not become an object; delete what is under `.part/`."""
        await finish_despite_cancel(self._discard())

    async def _send_buffer(self) -> None:
        if self._upload is None:
            self._upload = await self._bucket.open_upload(self._part_name, self._content_type)
        await self._upload.write(self._buffer)
        self._buffer = bytearray()

    async def _create(self, name: str) -> bool:
        if self._has_part:
            return await self._bucket.copy(self._part_name, name, self._content_type)
        return await self._bucket.create(name, bytes(self._buffer), self._content_type)

    async def _is_stored(self, name: str) -> bool:
        """Whether a killed run, or a request whose answer was lost, stored this content."""
        has_same_size = name == self._name and await self._bucket.size(name) == self._size
        return has_same_size and await self._bucket.sha256(name) == self._digest.digest()

    async def _discard(self) -> None:
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                if self._upload is not None:
                    await self._upload.abort()
                if self._has_part:
                    await self._bucket.delete(self._part_name)
        except (ObjectStoreError, TimeoutError) as error:
            reason = str(error) or "the store did not answer in time"
            _log.warning("%s could not be deleted: %s", self._url(self._part_name), reason)
        self._reset()

    def _url(self, name: str) -> str:
        return f"{self._bucket.url}/{name}"


class ResultBucket:
    """A part of an object store for results; see `ResultStore`.

    The store must be able to create an object only if its name is free, as S3, Google Cloud
    Storage, Azure, R2 and MinIO are, so that nothing is ever overwritten. Before the first
    claim, an empty object is created and deleted; if that fails, so does every claim.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Raises:
        InvalidRequestError: another URL, or the extra `object-store` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(url, "save_to")
        self._claimed: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._is_checked = False
        self._refusal: DownloadError | None = None

    @asynccontextmanager
    async def claim(
        self,
        photo: Photo,
        suffix: str,
        *,
        name: str | None = None,
        earlier: Location | None = None,
        paid: bool = False,
    ) -> AsyncIterator[ObjectDestination]:
        """Reserve an object name for a photo's result; see `ResultStore.claim`.

        Raises:
            DownloadError: the store cannot be written to.
        """
        if not paid:
            await self._require_writable()
        claimed = self._reclaimable_name(earlier)
        if claimed is not None:
            self._claimed.add(claimed)
        else:
            claimed = await self._claim_free_name(result_name(photo, suffix, name))
        try:
            yield ObjectDestination(self._bucket, claimed)
        finally:
            self._claimed.discard(claimed)

    async def _require_writable(self) -> None:
        async with self._lock:
            if not self._is_checked:
                self._refusal = await self._check_writable()
                self._is_checked = True
        if self._refusal is not None:
            raise DownloadError(str(self._refusal))

    async def _check_writable(self) -> DownloadError | None:
        probe = f"photoanimer-{secrets.token_hex(8)}"
        try:
            with _download_errors(self._bucket.url):
                await self._bucket.create(probe, b"", "text/plain")
        except DownloadError as error:
            return error
        with suppress(ObjectStoreError):
            await self._bucket.delete(probe)
        return None

    def _reclaimable_name(self, earlier: Location | None) -> str | None:
        """Return the name that an earlier run claimed, if it is in this store and free."""
        if not isinstance(earlier, str):
            return None
        store, _, name = earlier.rpartition("/")
        return name if store == self._bucket.url and name not in self._claimed else None

    async def _claim_free_name(self, wanted: str) -> str:
        # The search starts where the last one ended: a thousand photos of one name would
        # otherwise check a thousand names each.
        for number in itertools.count(self._next_numbers.get(wanted, 1)):
            name = numbered(wanted, number)
            if name in self._claimed:
                continue
            self._claimed.add(name)
            if await self._is_free(name):
                break
        if number > 1:
            self._next_numbers[wanted] = max(number, self._next_numbers.get(wanted, 1))
        return name

    async def _is_free(self, name: str) -> bool:
        is_free = False
        try:
            with _download_errors(self._bucket.url):
                is_free = await self._bucket.size(name) is None
        finally:
            if not is_free:
                self._claimed.discard(name)
        return is_free


@contextmanager
def _download_errors(location: str) -> Iterator[None]:
    """Raise `DownloadError` with the location in place of `ObjectStoreError`."""
    try:
        yield
    except ObjectStoreError as error:
        raise DownloadError(f"{printable(location)}: cannot be written: {error}") from None

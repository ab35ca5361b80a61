"""Results as objects of an object store: each has a name of its own, and is whole or absent.

How it works. What is downloaded is held in memory, up to 8 MiB; most results are smaller, and
become an object by one request that fails if the name is taken. What is larger goes to the
store in parts while it comes in. When all parts are there they become an object with a random
name under `.part/`, which is copied to the final name on the same terms and removed. Nothing
touches the disk.

An upload in parts that does not end is aborted. What a process leaves behind that is killed is
an unfinished upload, or for a moment an object under `.part/`: never a result.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Location, Photo
from photoanimer_async.redaction import printable
from photoanimer_async.storage.finish_despite_cancel import finish_despite_cancel
from photoanimer_async.storage.object_store import ObjectStoreError, object_url, open_bucket
from photoanimer_async.storage.result_names import number_of, numbered, result_name

if TYPE_CHECKING:
    from obstore import AsyncWritableFile

    from photoanimer_async.storage.bucket import Bucket

_log = logging.getLogger(__name__)

_WHOLE_BYTES = 8 * 1024 * 1024
_DISCARD_SECONDS = 10.0
_CONTENT_TYPES = {".mp4": "video/mp4", ".gif": "image/gif"}


class _AbandonedError(Exception):
    """Ends an upload that is not to become an object."""


class ObjectDestination:
    """An object that a download is to become; see `Destination`.

    Args:
        bucket: where.
        name: the object's name in it.
    """

    def __init__(self, bucket: "Bucket", name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._content_type = _CONTENT_TYPES.get(PurePosixPath(name).suffix, "video/mp4")
        self._start()

    def _start(self) -> None:
        self._size = 0
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._part = f".part/{secrets.token_hex(16)}"
        self._writer: AsyncWritableFile | None = None
        self._has_part = False

    @property
    def location(self) -> str:
        """The object's URL."""
        return self._url(self._name)

    def with_suffix(self, suffix: str) -> "ObjectDestination":
        """The object with another suffix."""
        return ObjectDestination(self._bucket, str(PurePosixPath(self._name).with_suffix(suffix)))

    async def begin(self) -> None:
        """Forgets what was written before."""
        self._start()

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Holds the data, or sends what has gathered."""
        if offset != self._size:
            assert not offset  # noqa: S101 - a download goes on where it is, or begins again
            await self.discard()
        self._size += len(data)
        self._digest.update(data)
        self._buffer += data
        if len(self._buffer) > _WHOLE_BYTES:
            await self._send()

    async def _send(self) -> None:
        with _told(self.location), self._bucket.refusals():
            if self._writer is None:
                self._writer = await self._bucket.writer(self._part, self._content_type)
            await self._writer.write(self._buffer)
        self._buffer = bytearray()

    async def commit(self) -> str:
        """Makes it an object, and returns its URL."""
        if self._writer is not None:
            await self._complete(self._writer)
        with _told(self.location):
            for name in numbered(self._name):
                if await self._became(name) or await self._is_the_same(name):
                    break
        await self.discard()
        return self._url(name)

    async def _complete(self, writer: "AsyncWritableFile") -> None:
        await self._send()
        self._has_part = True
        with _told(self.location), self._bucket.refusals():
            await writer.close()
        self._writer = None

    async def _became(self, name: str) -> bool:
        if self._has_part:
            return await self._bucket.copy(self._part, name, self._content_type)
        return await self._bucket.create(name, bytes(self._buffer), self._content_type)

    async def _is_the_same(self, name: str) -> bool:
        """Whether this very content is there, as a killed run leaves it, or a lost answer."""
        is_as_long = name == self._name and await self._bucket.size(name) == self._size
        return is_as_long and await self._bucket.sha256(name) == self._digest.digest()

    async def discard(self) -> None:
        """Aborts what has not become an object, and removes what is under `.part/`."""
        await finish_despite_cancel(self._discard())

    async def _discard(self) -> None:
        try:
            async with asyncio.timeout(_DISCARD_SECONDS):
                if self._writer is not None:
                    await self._abort(self._writer)
                if self._has_part:
                    await self._bucket.delete(self._part)
        except (ObjectStoreError, TimeoutError) as error:
            _log.warning("%s/%s: may be left there: %s", self._bucket.url, self._part, error)
        self._start()

    async def _abort(self, writer: "AsyncWritableFile") -> None:
        with suppress(_AbandonedError), self._bucket.refusals():
            async with writer:
                raise _AbandonedError

    def _url(self, name: str) -> str:
        return f"{self._bucket.url}/{name}"


class ResultBucket:
    """A part of an object store for results; see `ResultStore`.

    The store must be able to create an object only if there is none of its name, as S3,
    Google Cloud Storage, Azure, R2 and MinIO are: so nothing is ever overwritten. Whether it
    can be written to is tried once, with an empty object that is removed at once; if not, that
    holds for all photos.

    Args:
        url: `s3://bucket/prefix`, or `gs://` or `az://` likewise.

    Raises:
        InvalidRequestError: another URL; or the extra `object-store` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._bucket = open_bucket(object_url(url, "save_to"))
        self._claimed: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._is_tried = False
        self._refusal: DownloadError | None = None

    @asynccontextmanager
    async def claim(
        self, photo: Photo, suffix: str, *, name: str | None = None, earlier: Location | None = None
    ) -> AsyncIterator[ObjectDestination]:
        """As `ResultStore.claim`.

        Raises:
            DownloadError: the store can not be written to.
        """
        await self._require_writable()
        claimed = self._name_of_ours(earlier)
        if claimed is not None:
            self._claimed.add(claimed)
        else:
            claimed = await self._next_free(result_name(photo, suffix, name))
        try:
            yield ObjectDestination(self._bucket, claimed)
        finally:
            self._claimed.discard(claimed)

    async def _require_writable(self) -> None:
        async with self._lock:
            if not self._is_tried:
                self._refusal = await self._try()
                self._is_tried = True
        if self._refusal is not None:
            raise DownloadError(str(self._refusal))

    async def _try(self) -> DownloadError | None:
        """Why it can not be written to."""
        probe = f"photoanimer-{secrets.token_hex(8)}"
        try:
            with _told(self._bucket.url):
                await self._bucket.create(probe, b"", "text/plain")
        except DownloadError as error:
            return error
        with suppress(ObjectStoreError):
            await self._bucket.delete(probe)
        return None

    def _name_of_ours(self, earlier: Location | None) -> str | None:
        """The name that an earlier run had claimed, if it is one of this place."""
        if not isinstance(earlier, str):
            return None
        place, _, name = earlier.rpartition("/")
        return name if place == self._bucket.url and name not in self._claimed else None

    async def _next_free(self, wanted: str) -> str:
        for name in numbered(wanted, self._numbers.get(wanted, 1)):
            if name in self._claimed:
                continue
            self._claimed.add(name)
            if await self._is_free(name):
                break
        if name != wanted:
            # Where to look on: else a thousand photos of one name would look at a thousand
            # names each.
            self._numbers[wanted] = max(number_of(name), self._numbers.get(wanted, 1))
        return name

    async def _is_free(self, name: str) -> bool:
        is_free = False
        try:
            with _told(self._bucket.url):
                is_free = await self._bucket.size(name) is None
        finally:
            if not is_free:
                self._claimed.discard(name)
        return is_free


@contextmanager
def _told(place: str) -> Iterator[None]:
    """The store's refusals with the name of the place.

    Raises:
        DownloadError: in their place.
    """
    try:
        yield
    except ObjectStoreError as error:
        raise DownloadError(f"{printable(place)}: can not be written: {error}") from None

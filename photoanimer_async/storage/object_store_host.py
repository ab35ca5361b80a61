"""Photos in an object store, for as long as the service needs them.

How it works. A photo is uploaded under a random name, and its URL is a signed one: whoever has
it can fetch the photo until it expires, and nobody else can. Publications of the same content
that overlap share one object, which is removed after the last of them, also after an error or a
cancellation. If that fails, or the process is killed, the object stays, and a lifecycle rule of
the bucket should remove it.
"""

import asyncio
import hashlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from attrs import define

from photoanimer_async.errors import HostingError, InvalidPhotoError, InvalidRequestError
from photoanimer_async.models import Photo
from photoanimer_async.redaction import printable, shown_photo
from photoanimer_async.storage.finish_despite_cancel import finish_despite_cancel
from photoanimer_async.storage.media_format import MediaFormat, media_format
from photoanimer_async.storage.object_store import ObjectStoreError, object_url, open_bucket

_NAME_BYTES = 24
_DAY = 86_400.0
_LONGEST_VALIDITY = 7 * _DAY
_WITHDRAWAL_SECONDS = 10.0

_log = logging.getLogger(__name__)


@define
class _Upload:
    """An object, and how many publications share it."""

    name: str
    done: "asyncio.Task[None]"
    users: int = 0


class ObjectStoreHost:
    """Uploads photos to an object store, and has the service fetch them from there.

    Credentials come from the environment, by the store's own names for them (such as
    `AWS_ACCESS_KEY_ID`). With temporary ones, URLs end when those do. It belongs to one event
    loop. A store does not tell who fetched what: this host can not prove that a submit whose
    answer was lost has arrived, and two URLs of one photo may be equal.

    Args:
        url: `s3://bucket/prefix` for Amazon S3 and its likes, `gs://bucket/prefix` for Google
            Cloud Storage, `az://container/prefix` for Azure.
        valid_seconds: how long a URL holds, if it is not withdrawn before; at most 7 days. It
            has to outlive the task.

    Raises:
        InvalidRequestError: another URL, a time out of range, or the extra `object-store` is
            not installed.
    """

    def __init__(self, url: str, *, valid_seconds: float = _DAY) -> None:
        if not 1 <= valid_seconds <= _LONGEST_VALIDITY:
            raise InvalidRequestError(
                f"valid_seconds is {valid_seconds:g}; allowed is 1 to {_LONGEST_VALIDITY:g}"
            )
        self._bucket = open_bucket(object_url(url, "the image host"))
        self._valid_seconds = valid_seconds
        self._uploads: dict[bytes, _Upload] = {}

    def __repr__(self) -> str:
        return f"ObjectStoreHost({self._bucket.url!r})"

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """A signed URL for a photo, which is in the store until the end of the block.

        Args:
            photo: a path or the content; or the path of a voice.

        Raises:
            InvalidPhotoError: not a photo that the service takes, or a URL.
            HostingError: it can not be uploaded.
        """
        content, kind = await asyncio.to_thread(_read, photo)
        digest = hashlib.sha256(content).digest()
        upload = self._uploads.get(digest)
        if upload is None:
            upload = self._uploads[digest] = self._begin(content, kind)
        del content
        upload.users += 1
        try:
            try:
                await asyncio.shield(upload.done)
                url = await self._bucket.signed_url(upload.name, self._valid_seconds)
            except ObjectStoreError as error:
                raise HostingError(
                    f"{shown_photo(photo)}: can not be put into {printable(self._bucket.url)}: "
                    f"{error}"
                ) from None
            yield url
        finally:
            upload.users -= 1
            if not upload.users:
                del self._uploads[digest]
                await finish_despite_cancel(self._withdraw(upload))

    def _begin(self, content: bytes, kind: MediaFormat) -> _Upload:
        name = secrets.token_urlsafe(_NAME_BYTES) + kind.suffix
        putting = self._bucket.put(name, content, kind.content_type)
        return _Upload(name, asyncio.create_task(putting))

    async def _withdraw(self, upload: _Upload) -> None:
        """Removes an object; if it is still on its way, when it has arrived."""
        try:
            async with asyncio.timeout(_WITHDRAWAL_SECONDS):
                with suppress(ObjectStoreError):
                    await upload.done
                await self._bucket.delete(upload.name)
        except (ObjectStoreError, TimeoutError) as error:
            reason = str(error) or "the store did not answer in time"
            _log.warning("%s/%s: may be left there: %s", self._bucket.url, upload.name, reason)


def _read(photo: Photo) -> tuple[bytes, MediaFormat]:
    """A photo's content, checked."""
    name = shown_photo(photo)
    kind = media_format(photo)
    if isinstance(photo, bytes):
        return photo, kind
    try:
        return Path(photo).read_bytes(), kind
    except OSError as error:
        why = error.strerror or os.strerror(error.errno or 0)
        raise InvalidPhotoError(f"{name}: can not be read: {why}", photo=name) from None

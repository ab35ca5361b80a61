"""An image host that uploads photos to an object store.

How it works. A photo is uploaded under a random name and published as a signed URL, which gives
access to the photo until it expires. Publications of the same content that overlap share one
object. It is deleted after the last of them, also after an error or a cancellation. If that
fails, or the process is killed, the object stays: a lifecycle rule of the bucket should delete
it.
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
from photoanimer_async.photos.cancellation import finish_despite_cancel
from photoanimer_async.photos.check import MediaFormat, detect_media_format
from photoanimer_async.photos.shortage import is_shortage
from photoanimer_async.redaction import printable, shown_photo
from photoanimer_async.storage.object_store import Bucket, ObjectStoreError

_NAME_BYTES = 24
_DAY = 86_400.0
_LONGEST_VALIDITY = 7 * _DAY
_DELETE_SECONDS = 10.0

_log = logging.getLogger(__name__)


@define
class _Upload:
    """An object that overlapping publications share."""

    name: str
    task: "asyncio.Task[None]"
    publications: int = 0


class ObjectStoreHost:
    """Uploads photos to an object store, from which the service fetches them.

        async with PhotoAnimerClient(host=ObjectStoreHost("s3://my-photos/animate")) as client:
            await client.animate("grandma.jpg", save_to="out/")

    Credentials come from the environment, by the store's own names (such as
    `AWS_ACCESS_KEY_ID`). URLs signed with temporary credentials expire with these. An object
    store does not report fetches, and two URLs of one photo may be equal: this host cannot
    prove that a submit without an answer arrived. It belongs to one event loop.

    Args:
        url: `s3://bucket/prefix` for Amazon S3 and compatible stores, `gs://bucket/prefix` for
            Google Cloud Storage, `az://container/prefix` for Azure.
        valid_seconds: how long a URL is valid if the photo is not withdrawn before, 1 to
            604,800 (7 days). It must be longer than a photo waits for its turn and its task takes.

    Raises:
        InvalidRequestError: another URL, a time out of range, or the extra `object-store` is
            not installed.
    """

    def __init__(self, url: str, *, valid_seconds: float = _DAY) -> None:
        if not 1 <= valid_seconds <= _LONGEST_VALIDITY:
            raise InvalidRequestError(
                f"valid_seconds is {valid_seconds:g}; allowed is 1 to {_LONGEST_VALIDITY:g}"
            )
        self._bucket = Bucket(url, "the image host")
        self._valid_seconds = valid_seconds
        self._uploads: dict[bytes, _Upload] = {}

    def __repr__(self) -> str:
        return f"ObjectStoreHost({self._bucket.url!r})"

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        """Upload a photo and yield its signed URL; delete the photo after the block.

        Args:
            photo: the path or the content of a photo, or the path of a voice.

        Raises:
            InvalidPhotoError: a URL, or not a photo that the service takes.
            HostingError: the photo cannot be uploaded.
        """
        content, kind = await asyncio.to_thread(_read, photo)
        digest = hashlib.sha256(content).digest()
        upload = self._uploads.get(digest)
        if upload is None:
            upload = self._uploads[digest] = self._start_upload(content, kind)
        del content  # not kept while the photo is published
        upload.publications += 1
        try:
            try:
                await asyncio.shield(upload.task)
                url = await self._bucket.signed_url(upload.name, self._valid_seconds)
            except ObjectStoreError as error:
                raise HostingError(
                    f"{shown_photo(photo)}: cannot be uploaded to {printable(self._bucket.url)}: "
                    f"{error}"
                ) from None
            yield url
        finally:
            upload.publications -= 1
            if not upload.publications:
                del self._uploads[digest]
                await finish_despite_cancel(self._delete(upload))

    def _start_upload(self, content: bytes, kind: MediaFormat) -> _Upload:
        name = secrets.token_urlsafe(_NAME_BYTES) + kind.suffix
        upload = self._bucket.put(name, content, kind.content_type)
        return _Upload(name, asyncio.create_task(upload))

    async def _delete(self, upload: _Upload) -> None:
        """Delete an object, once its upload has ended."""
        try:
            async with asyncio.timeout(_DELETE_SECONDS):
                with suppress(ObjectStoreError):
                    await upload.task
                await self._bucket.delete(upload.name)
        except (ObjectStoreError, TimeoutError) as error:
            reason = str(error) or "the store did not answer in time"
            _log.warning("%s/%s could not be deleted: %s", self._bucket.url, upload.name, reason)


def _read(photo: Photo) -> tuple[bytes, MediaFormat]:
    """Return a photo's content and format."""
    name = shown_photo(photo)
    kind = detect_media_format(photo)
    if isinstance(photo, bytes):
        return photo, kind
    try:
        return Path(photo).read_bytes(), kind
    except OSError as error:
        if is_shortage(error):
            raise HostingError(f"{name}: cannot be read: {error.strerror}") from error
        why = error.strerror or os.strerror(error.errno or 0)
        raise InvalidPhotoError(f"{name}: cannot be read: {why}", photo=name) from None

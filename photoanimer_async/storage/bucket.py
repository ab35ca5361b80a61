"""The one module that touches obstore.

Credentials and addresses come from the environment, by each store's own names for them
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`,
`AZURE_STORAGE_ACCOUNT_NAME`, ...). The texts of obstore's errors hold requests and answers as a
whole, with key ids and signatures in them: only a status and a code are taken from them.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from photoanimer_async.storage.object_url import ObjectStoreError

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ClientConfig, RetryConfig

_Store: TypeAlias = AzureStore | GCSStore | S3Store

_ALLOW_HTTP = {
    "s3": "AWS_ALLOW_HTTP",
    "gs": "GOOGLE_ALLOW_HTTP",
    "az": "AZURE_ALLOW_HTTP",
}
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3} [A-Z][A-Za-z ]*)")
_NO_CREDENTIALS = ("/latest/api/token", "169.254.169.254", "metadata.google.internal")
_PART_BYTES = 8 * 1024 * 1024
_TRIES_AGAIN = 4


class Bucket:
    """A bucket, or the part of one under a prefix. It belongs to one event loop.

    Its methods raise `ObjectStoreError` if the store refuses, or does not answer.

    Args:
        url: as `object_url` gives it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._stores: dict[str | None, _Store] = {}
        self._lock = asyncio.Lock()

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        """Stores an object, whatever was there."""
        with self.refusals():
            await obstore.put_async(
                await self._store(),
                name,
                content,
                attributes={"Content-Type": content_type, "Cache-Control": "no-store"},
                use_multipart=False,
            )

    async def create(self, name: str, content: bytes, content_type: str) -> bool:
        """Stores an object unless there is one of this name; false if there is."""
        with self.refusals():
            try:
                await obstore.put_async(
                    await self._store(),
                    name,
                    content,
                    attributes={"Content-Type": content_type},
                    mode="create",
                )
            except AlreadyExistsError:
                return False
        return True

    async def writer(self, name: str, content_type: str) -> "AsyncWritableFile":
        """An upload in parts, which becomes an object when it is closed.

        As a context manager it is aborted by an error. Its own methods raise obstore's errors:
        see `refusals`.
        """
        return obstore.open_writer_async(
            await self._store(),
            name,
            attributes={"Content-Type": content_type},
            buffer_size=_PART_BYTES,
            max_concurrency=1,
        )

    async def copy(self, name: str, new: str, content_type: str) -> bool:
        """Copies an object unless there is one of the new name; false if there is."""
        with self.refusals():
            store = await self._store(content_type)
            try:
                await obstore.copy_async(store, name, new, overwrite=False)
            except AlreadyExistsError:
                return False
        return True

    async def delete(self, name: str) -> None:
        """Removes an object; there need be none."""
        with self.refusals():
            try:
                await obstore.delete_async(await self._store(), name)
            except FileNotFoundError:
                return

    async def size(self, name: str) -> int | None:
        """How many bytes an object has; `None` if there is none."""
        with self.refusals():
            try:
                return (await obstore.head_async(await self._store(), name))["size"]
            except FileNotFoundError:
                return None

    async def sha256(self, name: str) -> bytes:
        """The digest of an object's content, which is streamed."""
        digest = hashlib.sha256()
        with self.refusals():
            found = await obstore.get_async(await self._store(), name)
            async for chunk in found.stream(min_chunk_size=2**18):
                digest.update(chunk)
        return digest.digest()

    async def signed_url(self, name: str, seconds: float) -> str:
        """A URL that opens an object to whoever has it, for so long."""
        with self.refusals():
            return await obstore.sign_async(
                await self._store(), "GET", name, timedelta(seconds=seconds)
            )

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Obstore's errors as ours.

        Raises:
            ObjectStoreError: in their place.
        """
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            # Not chained: a traceback would show the text.
            raise ObjectStoreError(_reason(str(error))) from None

    async def _store(self, content_type: str | None = None) -> _Store:
        """The store, opened in a thread since that reads certificates and settings.

        Args:
            content_type: of the copies that it makes, where copies do not keep it.
        """
        async with self._lock:
            if content_type not in self._stores:
                opened = await asyncio.to_thread(_opened, self.url, content_type)
                self._stores[content_type] = opened
        return self._stores[content_type]


def _opened(url: str, content_type: str | None) -> _Store:
    scheme = urlsplit(url).scheme
    # With options of ours, obstore no longer takes this one from the environment.
    plain = os.environ.get(_ALLOW_HTTP[scheme], "").lower() in {"1", "true"}
    options: ClientConfig = {"timeout": "5min", "connect_timeout": "10s", "allow_http": plain}
    if content_type is not None:
        options["default_content_type"] = content_type
    retry: RetryConfig = {"max_retries": _TRIES_AGAIN}
    match scheme:
        case "gs":
            return GCSStore.from_url(url, client_options=options, retry_config=retry)
        case "az":
            return AzureStore.from_url(url, client_options=options, retry_config=retry)
        case _:
            return S3Store.from_url(
                url,
                client_options=options,
                retry_config=retry,
                disable_bulk_delete=True,  # which not all its likes have
                copy_if_not_exists=os.environ.get("AWS_COPY_IF_NOT_EXISTS", "multipart"),
            )


def _reason(text: str) -> str:
    """What may be said of an error, from obstore's text."""
    status, code = _STATUS.search(text), _CODE.search(text)
    if status is not None:
        named = "" if code is None else f" ({code[1]})"
        return f"the store answered {status[1].strip()}{named}"
    if any(mark in text for mark in _NO_CREDENTIALS):
        return "there are no credentials for it in the environment"
    if "timed out" in text:
        return "the store did not answer in time"
    if "error sending request" in text:
        return "there is no connection to the store"
    return "the store can not be used with the settings in the environment"

"""Object stores: Amazon S3 and compatible ones, Google Cloud Storage, Azure.

The only module that calls obstore, which comes with the extra `object-store` and is imported
with the first bucket. Credentials and endpoints come from the environment, by each store's own
names (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`,
`AZURE_STORAGE_ACCOUNT_NAME`, ...). The texts of obstore's errors contain whole requests and
answers, with key ids and signatures: only a status and a code are taken from them.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.redaction import printable, shown_url

if TYPE_CHECKING:
    import obstore
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    _Store: TypeAlias = AzureStore | GCSStore | S3Store

_ALLOW_HTTP = {
    "s3": "AWS_ALLOW_HTTP",
    "gs": "GOOGLE_ALLOW_HTTP",
    "az": "AZURE_ALLOW_HTTP",
}
_UNSAFE = frozenset("?#\\%")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3} [A-Z][A-Za-z ]*)")
_NO_CREDENTIALS = ("/latest/api/token", "169.254.169.254", "metadata.google.internal")
_PART_BYTES = 8 * 1024 * 1024
_MAX_RETRIES = 4


class ObjectStoreError(Exception):
    """An object store refused a request or could not be reached; the text is only the reason."""


def parse_object_url(text: str, option: str) -> str:
    """Return the URL of a bucket, or of the part of it under a prefix, without a final slash.

    Args:
        text: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        option: what the user calls it, for the error.

    Raises:
        InvalidRequestError: another URL, or one with credentials, a query or a fragment.
    """
    try:
        parts = urlsplit(text)
        sound = parts.scheme in _ALLOW_HTTP and bool(parts.netloc) and "@" not in parts.netloc
    except ValueError:
        sound = False
    if not sound or not text.isprintable() or _UNSAFE.intersection(text):
        shown = shown_url(text) if "://" in text else printable(repr(text))
        raise InvalidRequestError(
            f"{option} is {shown}; allowed is a string such as s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix"
        )
    return text.rstrip("/")


class Bucket:
    """A bucket, or the part of one under a prefix. It belongs to one event loop.

    Its methods raise `ObjectStoreError` if the store refuses or does not answer.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        option: what the user calls it, for the error.

    Raises:
        InvalidRequestError: another URL, or the extra `object-store` is not installed.
    """

    def __init__(self, url: str, option: str) -> None:
        self.url = parse_object_url(url, option)
        self._stores: dict[str | None, _Store] = {}
        self._lock = asyncio.Lock()
        _import_obstore()

    async def put(self, name: str, content: bytes, content_type: str) -> None:
        """Store an object, replacing any object of this name."""
        with _translated_errors():
            await obstore.put_async(
                await self._store(),
                name,
                content,
                attributes={"Content-Type": content_type, "Cache-Control": "no-store"},
                use_multipart=False,
            )

    async def create(self, name: str, content: bytes, content_type: str) -> bool:
        """Store an object and return true, or return false if there is one of this name."""
        with _translated_errors():
            try:
                await obstore.put_async(
                    await self._store(),
                    name,
                    content,
                    attributes={"Content-Type": content_type},
                    mode="create",
                )
            except obstore.exceptions.AlreadyExistsError:
                return False
        return True

    async def open_upload(self, name: str, content_type: str) -> "MultipartUpload":
        """Begin an upload in parts; it becomes an object when it is completed."""
        with _translated_errors():
            return MultipartUpload(
                obstore.open_writer_async(
                    await self._store(),
                    name,
                    attributes={"Content-Type": content_type},
                    buffer_size=_PART_BYTES,
                    max_concurrency=1,
                )
            )

    async def copy(self, name: str, new: str, content_type: str) -> bool:
        """Copy an object and return true, or return false if there is one of the new name."""
        with _translated_errors():
            store = await self._store(content_type)
            try:
                await obstore.copy_async(store, name, new, overwrite=False)
            except obstore.exceptions.AlreadyExistsError:
                return False
        return True

    async def delete(self, name: str) -> None:
        """Delete an object if it exists."""
        with _translated_errors():
            try:
                await obstore.delete_async(await self._store(), name)
            except FileNotFoundError:
                return

    async def size(self, name: str) -> int | None:
        """Return the size of an object in bytes, or `None` if there is no such object."""
        with _translated_errors():
            try:
                return (await obstore.head_async(await self._store(), name))["size"]
            except FileNotFoundError:
                return None

    async def sha256(self, name: str) -> bytes:
        """Return the SHA-256 digest of an object's content, which is streamed."""
        digest = hashlib.sha256()
        with _translated_errors():
            found = await obstore.get_async(await self._store(), name)
            async for chunk in found.stream(min_chunk_size=2**18):
                digest.update(chunk)
        return digest.digest()

    async def signed_url(self, name: str, seconds: float) -> str:
        """Return a URL that gives read access to an object for so many seconds."""
        with _translated_errors():
            return await obstore.sign_async(
                await self._store(), "GET", name, timedelta(seconds=seconds)
            )

    async def _store(self, copy_type: str | None = None) -> "_Store":
        """Return the open store; opened in a thread, since it reads certificates and settings.

        Args:
            copy_type: the content type of copies, for stores that do not keep it.
        """
        async with self._lock:
            if copy_type not in self._stores:
                self._stores[copy_type] = await asyncio.to_thread(_open, self.url, copy_type)
        return self._stores[copy_type]


class MultipartUpload:
    """An upload in parts. Its methods raise `ObjectStoreError`, as those of `Bucket` do."""

    def __init__(self, writer: "obstore.AsyncWritableFile") -> None:
        self._writer = writer

    async def write(self, data: bytes | bytearray) -> None:
        """Append data."""
        with _translated_errors():
            await self._writer.write(data)

    async def complete(self) -> None:
        """Turn what was written into an object."""
        with _translated_errors():
            await self._writer.close()

    async def abort(self) -> None:
        """Have the store drop what was written."""
        with suppress(_AbortError), _translated_errors():
            async with self._writer:
                raise _AbortError  # obstore aborts an upload only for an error inside its block


class _AbortError(Exception):
    pass


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise `ObjectStoreError` in place of obstore's errors."""
    try:
        yield
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        # Not chained: a traceback would show the text.
        raise ObjectStoreError(_reason(str(error))) from None


def _import_obstore() -> None:
    global obstore  # noqa: PLW0603 - an optional extra, and too slow to import for those who do not use it
    try:
        import obstore  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise InvalidRequestError(
            "object stores need obstore: pip install 'photoanimer-async[object-store]'"
        ) from None


def _open(url: str, copy_type: str | None) -> "_Store":
    scheme = urlsplit(url).scheme
    # obstore does not read this variable once it is given client options.
    allow_http = os.environ.get(_ALLOW_HTTP[scheme], "").lower() in {"1", "true"}
    options: ClientConfig = {"timeout": "5min", "connect_timeout": "10s", "allow_http": allow_http}
    if copy_type is not None:
        options["default_content_type"] = copy_type
    retry: RetryConfig = {"max_retries": _MAX_RETRIES}
    match scheme:
        case "gs":
            return obstore.store.GCSStore.from_url(url, client_options=options, retry_config=retry)
        case "az":
            return obstore.store.AzureStore.from_url(
                url, client_options=options, retry_config=retry
            )
        case _:
            return obstore.store.S3Store.from_url(
                url,
                client_options=options,
                retry_config=retry,
                disable_bulk_delete=True,  # not every S3-compatible store has it
                copy_if_not_exists=os.environ.get("AWS_COPY_IF_NOT_EXISTS", "multipart"),
            )


def _reason(text: str) -> str:
    """Return the part of obstore's error text that may be shown."""
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
    return "the store cannot be used with the settings in the environment"

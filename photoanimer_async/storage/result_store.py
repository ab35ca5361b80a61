"""Where results go: a folder or a part of an object store, and one interface for both."""

import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

from photoanimer_async.errors import InvalidRequestError
from photoanimer_async.models import Location, Photo, require_file_name
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_folder import ResultFolder

_RESULT_SUFFIXES = frozenset({".mp4", ".gif"})

_LocationT_co = TypeVar("_LocationT_co", bound=Location, covariant=True)


class Destination(Protocol[_LocationT_co]):
    """The target of one download, which ends up there completely or not at all.

    Every method raises `DownloadError` if the target cannot be written to.
    """

    @property
    def location(self) -> _LocationT_co:
        """The location that the result should get."""
        ...

    async def begin(self, suffix: str) -> None:
        """Prepare an empty target; called before the first `write` of each download.

        Args:
            suffix: that of the result, `.mp4` or `.gif`, in place of the location's.
        """
        ...

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Append data.

        Args:
            offset: the number of bytes written so far, or 0 to discard them and start again.
            data: the bytes.
        """
        ...

    async def commit(self) -> _LocationT_co:
        """Publish what was written as the result.

        Returns:
            The final location: `location`, or a numbered name beside it if another result has
            taken that name. A result with identical content is not stored twice.
        """
        ...

    async def discard(self) -> None:
        """Delete what was written and not committed."""
        ...


class ResultStore(Protocol):
    """A folder or a part of an object store that gives each result a name of its own.

    async with result_store(parse_location("out/")).claim("grandma.jpg", ".mp4") as target:
        saved = await download(session, link, target, timeout=60)  # out/grandma.mp4
    """

    def claim(
        self,
        photo: Photo,
        suffix: str,
        *,
        name: str | None = None,
        earlier: Location | None = None,
        paid: bool = False,
    ) -> AbstractAsyncContextManager[Destination[Location]]:
        """Reserve a name for a photo's result until the end of the block.

        Called before the submit, it also proves that the store can be written to before money
        is spent.

        Args:
            photo: the result is named after it.
            suffix: `.mp4` or `.gif`.
            name: another name for the result, without suffix.
            earlier: the location that an earlier, killed run claimed for this photo. If it is in
                this store, it is claimed again and its unfinished download is deleted.
            paid: whether the result is paid for already, so that saving it is tried in any case.

        Raises:
            DownloadError: the store cannot be written to.
        """
        ...


def parse_location(save_to: str | os.PathLike[str], option: str = "save_to") -> Location:
    """Return the folder, or the normalized URL of a part of an object store, that a user named.

    Args:
        save_to: the folder, or the URL.
        option: what the user calls it, for the text of errors.

    Raises:
        InvalidRequestError: a URL that does not name a part of an object store, a path that no
            folder can have, or the name of a video or GIF, which is one file.
    """
    name = os.fspath(save_to)
    if _names_result(name):
        raise InvalidRequestError(
            f"{option} names one file, {printable(name)}, and many results need a folder"
        )
    if _is_url(name):
        from photoanimer_async.storage.object_store import (  # noqa: PLC0415 - for URLs only
            parse_object_url,
        )

        return parse_object_url(name, option)
    folder = Path(save_to)
    require_file_name(option, folder)
    return folder


def result_store(location: Location) -> ResultStore:
    """Return the store at a location.

    Raises:
        InvalidRequestError: as `parse_location`, or the extra `object-store` is not installed.
    """
    match location:
        case Path():
            return ResultFolder(location)
        case str():
            from photoanimer_async.storage.result_bucket import (  # noqa: PLC0415 - for URLs only
                ResultBucket,
            )

            return ResultBucket(location)


def result_target(
    save_to: str | os.PathLike[str] | None, output_format: str
) -> tuple[ResultStore | None, str | None]:
    """Return where one result goes: the store, and the result's name if `save_to` names a file.

        store, name = result_target("out/grandma.mp4", "mp4")  # the store of out/, and "grandma"

    Args:
        save_to: a folder, a video or GIF, or the URL of either in an object store.
        output_format: `mp4` or `gif`.

    Returns:
        The store is `None` without `save_to`, the name without a file.

    Raises:
        InvalidRequestError: as `parse_location`, or the file has the suffix of another format.
    """
    if save_to is None:
        return None, None
    folder, name = split_result(save_to, output_format)
    return result_store(parse_location(folder)), name


def split_result(
    save_to: str | os.PathLike[str], output_format: str, option: str = "save_to"
) -> tuple[str | os.PathLike[str], str | None]:
    """Return the folder of `save_to`, and the name if it is one file; see `result_target`.

    Args:
        save_to: a folder, a video or GIF, or the URL of either in an object store.
        output_format: `mp4` or `gif`.
        option: what the user calls it, for the text of errors.

    Raises:
        InvalidRequestError: the file has the suffix of another format.
    """
    name = os.fspath(save_to)
    if not _names_result(name):
        return save_to, None
    path = PurePath(name)
    if path.suffix.lower() != f".{output_format}":
        raise InvalidRequestError(
            f"{option} is {printable(name)}, but the result is a .{output_format}: "
            "change its suffix, or the format"
        )
    folder = name.rpartition("/")[0] if _is_url(name) else str(path.parent)
    return folder, path.stem


def _names_result(name: str) -> bool:
    return PurePath(name).suffix.lower() in _RESULT_SUFFIXES and not name.endswith("/")


def _is_url(name: str) -> bool:
    # A URL that went through `Path` has lost one of its slashes; `C:/` is a drive.
    scheme, colon, rest = name.partition(":")
    return bool(colon) and scheme.isalnum() and rest.startswith("/") and len(scheme) > 1

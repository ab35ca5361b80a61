"""Open a photo's content, and name the photo in errors.

Only regular files are opened: opening a pipe could block for ever, and a device has no end.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, FileIO

from photoanimer_async.errors import InvalidPhotoError, PreparationError
from photoanimer_async.models import Photo
from photoanimer_async.photos.header import PictureFlawError
from photoanimer_async.photos.shortage import is_shortage
from photoanimer_async.redaction import shown_photo

_OTHER_SCHEMES = frozenset({"data", "file", "ftp", "gs", "s3"})


@contextmanager
def open_photo(photo: Photo) -> Iterator[tuple[FileIO | BytesIO, int]]:
    """Open a photo on this machine for reading. Blocking.

    Args:
        photo: a path, or the content.

    Yields:
        The binary file and its size in bytes.

    Raises:
        InvalidPhotoError: the file cannot be read, or the block raises `PictureFlawError`.
        PreparationError: this machine is short of open files or memory.
    """
    with named_in_errors(photo):
        if isinstance(photo, bytes):
            yield BytesIO(photo), len(photo)
        else:
            with _open_file(photo) as (file, size):
                yield file, size


@contextmanager
def named_in_errors(photo: Photo) -> Iterator[None]:
    """Put the photo's name in front of the text of errors that the block raises.

    Raises:
        InvalidPhotoError: for a `PictureFlawError`.
        PreparationError: for a `PreparationError`.
    """
    _require_photo(photo)
    try:
        yield
    except PictureFlawError as flaw:
        raise InvalidPhotoError(f"{_name(photo)}: {flaw}", photo=_name(photo)) from None
    except PreparationError as error:
        raise PreparationError(f"{_name(photo)}: {error}") from error.__cause__


def _require_photo(photo: object) -> None:
    if not isinstance(photo, str | bytes | os.PathLike):
        kind = type(photo).__name__
        raise InvalidPhotoError(f"a photo is a URL, a path or bytes, not {kind}", photo=kind)


def _name(photo: Photo) -> str:
    return shown_photo(photo) or "(an empty name)"


@contextmanager
def _open_file(path: str | os.PathLike[str]) -> Iterator[tuple[FileIO, int]]:
    try:
        _require_file(os.stat(path))  # noqa: PTH116 - `Path("")` would be the current folder
        # O_NONBLOCK: a pipe may have replaced the file since it was checked.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError:  # a null character, or a surrogate that stands for no byte
        raise PictureFlawError("no file can have such a name") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        _require_file(status)
        try:
            yield file, status.st_size
        except OSError as error:
            raise _unreadable(path, error) from error


def _unreadable(
    path: str | os.PathLike[str], error: OSError
) -> PictureFlawError | PreparationError:
    if is_shortage(error):
        return PreparationError(f"cannot be read: {error.strerror}")
    scheme, colon, _ = os.fspath(path).partition(":")
    if colon and scheme.lower() in _OTHER_SCHEMES:
        return PictureFlawError(f"{scheme} URLs are not supported; http and https are")
    if isinstance(error, FileNotFoundError):
        return PictureFlawError("there is no such file")
    return PictureFlawError(f"cannot be read: {error.strerror}")


def _require_file(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    raise PictureFlawError(f"is {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a file")

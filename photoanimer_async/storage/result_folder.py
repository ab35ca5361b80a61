"""Results as files: each has a name of its own, and is whole or absent.

How it works. A result is written to `<name>.part`, synced to the disk when it is complete, and
then linked to its final name, which can not overwrite anything: if another program has taken
the name meanwhile, the next free one is used. A `.part` is left behind only by a process that
was killed. It might be another process's, so that its name counts as taken, and it is removed
only where a journal shows that it was one's own.

All file work is done in threads, and a step that has begun is finished before a cancellation
goes on, so that nothing happens behind the back of what follows.
"""

import asyncio
import errno
import filecmp
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Location, Photo
from photoanimer_async.redaction import printable
from photoanimer_async.storage.finish_despite_cancel import finish_despite_cancel
from photoanimer_async.storage.result_names import number_of, numbered, result_name

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def on_disk(path: Path, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Does a step of file work in a thread; if cancelled, when it is done.

    Raises:
        DownloadError: the file system refused.
    """
    try:
        return await finish_despite_cancel(asyncio.to_thread(step, *args, **kwargs))
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        reason = "no space is left on the disk" if full else error.strerror
        raise DownloadError(f"{printable(str(path))}: can not be written: {reason}") from error


class PartFile:
    """A file that gets its name when it is complete. Blocking: to be used from threads."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self._created = False

    def create(self) -> None:
        """Makes the empty file, under another number if somebody else is at this one."""
        self.destination = next(filter(_made_part, _numbered(self.destination)))
        self._created = True

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Puts data at an offset and ends the file behind it."""
        with part_of(self.destination).open("r+b") as file:
            file.seek(offset)
            file.write(data)
            file.truncate()

    def commit(self) -> Path:
        """Gives the file its name, and returns it.

        A number is added if the name is taken; unless it is by the very same content, as a
        run leaves it that is killed between naming a file and telling of it.
        """
        part = part_of(self.destination)
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        if _same_content(part, self.destination):
            saved = self.destination
        else:
            names = filter(self._is_not_underway, _numbered(self.destination))
            saved = next(name for name in names if _named(part, name))
        self.discard()
        # Not every file system can sync a folder; the file is there either way.
        with suppress(OSError):
            _sync_folder(saved.parent)
        return saved

    def _is_not_underway(self, name: Path) -> bool:
        return name == self.destination or not os.path.lexists(part_of(name))

    def discard(self) -> None:
        """Removes the file, if it was made here."""
        if self._created:
            part_of(self.destination).unlink(missing_ok=True)


class FileDestination:
    """A file that a download is to become; see `Destination`.

    Args:
        location: the file, in a folder that is there.
    """

    def __init__(self, location: Path) -> None:
        self.location = location
        self._part = PartFile(location)

    def with_suffix(self, suffix: str) -> "FileDestination":
        """The file with another suffix."""
        return FileDestination(self.location.with_suffix(suffix))

    async def begin(self) -> None:
        """Makes an empty `.part`."""
        self._part = PartFile(self.location)
        await on_disk(self.location, self._part.create)

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Writes to the `.part`, and ends it there."""
        await on_disk(self.location, self._part.write, offset, data)

    async def commit(self) -> Path:
        """Syncs the `.part` and gives it its name."""
        return await on_disk(self.location, self._part.commit)

    async def discard(self) -> None:
        """Removes the `.part`."""
        await on_disk(self.location, self._part.discard)


def _made_part(destination: Path) -> bool:
    """Makes the `.part` of a destination, unless it is there."""
    try:
        os.close(os.open(part_of(destination), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _same_content(part: Path, name: Path) -> bool:
    return name.is_file() and filecmp.cmp(part, name, shallow=False)


def _named(part: Path, name: Path) -> bool:
    """Gives a file a name, unless that is taken."""
    try:
        os.link(part, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
            raise
        # The file system has no hard links.
        if os.path.lexists(name):
            return False
        part.rename(name)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ResultFolder:
    """A folder for results; see `ResultStore`.

    No name is given that is already in the folder, whatever the case of its letters, or that
    another photo holds.

    Args:
        path: the folder; made when the first name is claimed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._claimed: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    @asynccontextmanager
    async def claim(
        self, photo: Photo, suffix: str, *, name: str | None = None, earlier: Location | None = None
    ) -> AsyncIterator[FileDestination]:
        """As `ResultStore.claim`.

        Raises:
            DownloadError: the folder can not be made or written to.
        """
        wanted = result_name(photo, suffix, name)
        path = await on_disk(self.path, self._claim, wanted, earlier)
        try:
            yield FileDestination(path)
        finally:
            self._claimed.discard(_key(path))

    def _claim(self, name: str, earlier: Location | None) -> Path:
        wanted = self.path / name
        with self._lock:
            self.path.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if isinstance(earlier, Path) and self._is_ours(earlier):
                for kind in (".mp4", ".gif"):
                    part_of(earlier.with_suffix(kind)).unlink(missing_ok=True)
                self._claimed.add(_key(earlier))
                return earlier
            first = self._numbers.get(_key(wanted), 1)
            path = next(filter(self._is_free, _numbered(wanted, first)))
            self._claimed.add(_key(path))
            if path != wanted:
                # Where to look on: else a thousand photos of one name would look at a
                # thousand names each.
                self._numbers[_key(wanted)] = number_of(path.name)
            return path

    def _is_ours(self, earlier: Path) -> bool:
        here = earlier.parent == self.path.absolute()
        return here and _key(earlier) not in self._claimed

    def _is_free(self, path: Path) -> bool:
        taken = os.path.lexists(path) or os.path.lexists(part_of(path))
        return not taken and _key(path) not in self._claimed


def _numbered(path: Path, first: int = 1) -> Iterator[Path]:
    return (path.with_name(name) for name in numbered(path.name, first))


def part_of(path: Path) -> Path:
    """Where a result is until it is complete."""
    return path.with_name(f"{path.name}.part")


def _key(path: Path) -> str:
    return path.name.casefold()

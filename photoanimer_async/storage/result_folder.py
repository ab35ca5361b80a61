"""Results as files of a folder: each has a name of its own, and is complete or absent.

How it works. A result is written to `<name>.part`, synced to the disk once it is complete, and
then hard-linked to its final name. A link cannot overwrite a file: if another program has taken
the name in the meantime, the next free number is used. Where links are refused, an empty file
reserves the name and is then replaced. Only a killed process leaves a `.part` behind. Another
process may still write to it, so its name counts as taken; it is deleted only where a journal
shows that an earlier run of this batch claimed it.

All file work is done in threads. A step that has begun is finished before a cancellation is
raised, so that no thread touches the files afterwards.
"""

import asyncio
import errno
import filecmp
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Location, Photo
from photoanimer_async.photos.cancellation import ThreadStep
from photoanimer_async.redaction import printable
from photoanimer_async.storage.result_names import numbered, result_name

_ROOM = 2**20
"""Free bytes required for each result in progress: about the size of one."""

_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_P = ParamSpec("_P")
_T = TypeVar("_T")


class FileDestination:
    """A file as the target of a download; see `Destination`.

    The latest data is held in memory until there is more, or the file is complete: most results
    need one step of file work, in one thread.

    Args:
        location: the file, in an existing folder.
        is_claimed: whether a `ResultFolder` has found that the folder can be written to.
    """

    def __init__(self, location: Path, *, is_claimed: bool = False) -> None:
        self.location = location
        self._is_claimed = is_claimed
        self._name = location
        self._has_part = False
        self._held: tuple[int, bytes | bytearray] | None = None

    async def begin(self, suffix: str) -> None:
        """Show that the `.part` can be created, where that is not known yet."""
        self.location = self._name = self.location.with_suffix(suffix)
        self._held = None
        if not self._is_claimed:
            await _in_thread(self.location, self._create)

    async def write(self, offset: int, data: bytes | bytearray) -> None:
        """Write what is held to the `.part`, and hold this."""
        held, self._held = self._held, (offset, data)
        if held is not None:
            await _in_thread(self.location, self._write, *held)

    async def commit(self) -> Path:
        """Write what is held, sync the `.part` and give it its final name, which is returned."""
        return await _in_thread(self.location, self._commit)

    async def discard(self) -> None:
        """Delete the `.part` if it was created here."""
        await _in_thread(self.location, self._discard)

    def _create(self) -> None:
        """Create an empty `.part`, under the next number if another process uses this one."""
        self._name = next(filter(_create_part, _numbered(self.location)))
        self._has_part = True

    def _write(self, offset: int, data: bytes | bytearray) -> None:
        """Write to the `.part` and truncate it behind the data."""
        if not self._has_part:
            self._create()
        with _part_of(self._name).open("r+b") as file:
            file.seek(offset)
            file.write(data)
            file.truncate()

    def _commit(self) -> Path:
        if self._held is not None:
            self._write(*self._held)
        elif not self._has_part:
            self._create()
        part = _part_of(self._name)
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        # A run that is killed between naming a file and recording it leaves the same content.
        if self._name.is_file() and filecmp.cmp(part, self._name, shallow=False):
            saved = self._name
        else:
            names = filter(self._is_ours_or_idle, _numbered(self._name))
            saved = next(name for name in names if _link(part, name))
        self._discard()
        # Not every file system can sync a folder; the file is there either way.
        with suppress(OSError):
            _sync_folder(saved.parent)
        return saved

    def _is_ours_or_idle(self, name: Path) -> bool:
        return name == self._name or not os.path.lexists(_part_of(name))

    def _discard(self) -> None:
        if self._has_part:
            _part_of(self._name).unlink(missing_ok=True)
            self._has_part = False


class ResultFolder:
    """A folder of results; see `ResultStore`.

    A name is taken if a file in the folder has it, in upper or lower case, or if another photo
    has claimed it.

    Args:
        path: the folder; created when the first name is claimed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._is_checked = False
        self._claimed: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        self._lock = threading.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def claim(
        self,
        photo: Photo,
        suffix: str,
        *,
        name: str | None = None,
        earlier: Location | None = None,
        paid: bool = False,
    ) -> AsyncIterator[FileDestination]:
        """Reserve a file name for a photo's result; see `ResultStore.claim`.

        While the disk has room for the results in progress only, it waits until one has ended.

        Raises:
            DownloadError: the folder cannot be created or written to, or its disk is full.
        """
        wanted = result_name(photo, suffix, name)
        claimed: list[Path] = []  # one, also if this is cancelled while the thread claims it

        def claim() -> None:
            if (path := self._claim(wanted, earlier, paid=paid)) is not None:
                claimed.append(path)

        try:
            while not claimed:
                released = self._released
                await _in_thread(self.path, claim)
                if not claimed:
                    await released.wait()
            yield FileDestination(claimed[0], is_claimed=True)
        finally:
            for path in claimed:
                self._release(path)

    def _release(self, path: Path) -> None:
        self._claimed.discard(_key(path))
        self._released, released = asyncio.Event(), self._released
        released.set()

    def _claim(self, name: str, earlier: Location | None, *, paid: bool) -> Path | None:
        """Return the claimed name; `None` if results in progress may need the room on the disk."""
        wanted = self.path / name
        with self._lock:
            self.path.mkdir(parents=True, exist_ok=True)
            if not paid and not self._has_room():
                return None
            if isinstance(earlier, Path) and self._is_reclaimable(earlier):
                for suffix in (".mp4", ".gif"):
                    _delete_rest(earlier.with_suffix(suffix))
                self._claimed.add(_key(earlier))
                return earlier
            # The search starts where the last one ended: a thousand photos of one name would
            # otherwise check a thousand names each.
            for number in itertools.count(self._next_numbers.get(_key(wanted), 1)):
                path = wanted if number == 1 else wanted.with_name(numbered(name, number))
                if self._is_free(path):
                    break
            if number > 1:
                self._next_numbers[_key(wanted)] = number
            self._claimed.add(_key(path))
            return path

    def _has_room(self) -> bool:
        """Return whether there is room for one more result than have a claim.

        Raises:
            OSError: there is not even room for one, or the folder cannot be written to.
        """
        if not self._is_checked:
            with tempfile.TemporaryFile(dir=self.path) as probe:
                probe.write(bytes(_ROOM))
            self._is_checked = True
        disk = shutil.disk_usage(self.path)
        # Some network file systems do not report their size.
        if not disk.total or disk.free >= (len(self._claimed) + 1) * _ROOM:
            return True
        if not self._claimed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return False

    def _is_reclaimable(self, earlier: Path) -> bool:
        is_here = earlier.parent == self.path.absolute()
        return is_here and _key(earlier) not in self._claimed

    def _is_free(self, path: Path) -> bool:
        is_taken = os.path.lexists(path) or os.path.lexists(_part_of(path))
        return not is_taken and _key(path) not in self._claimed


async def _in_thread(path: Path, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do a step of file work in a thread; a cancellation waits until it is done.

    Raises:
        DownloadError: the file system refused.
    """
    try:
        return await ThreadStep(asyncio.to_thread(step, *args, **kwargs))
    except OSError as error:
        full = error.errno in _DISK_IS_FULL
        reason = "no space is left on the disk" if full else error.strerror
        raise DownloadError(f"{printable(str(path))}: cannot be written: {reason}") from error


def _create_part(name: Path) -> bool:
    """Create the `.part` of a file; return false if there is one."""
    try:
        os.close(os.open(_part_of(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _delete_rest(name: Path) -> None:
    """Delete what a killed process has left of a result."""
    _part_of(name).unlink(missing_ok=True)
    if name.is_file() and not name.stat().st_size:
        name.unlink()  # reserved by `_rename`


def _link(part: Path, name: Path) -> bool:
    """Give a file its final name; return false if that is taken."""
    try:
        os.link(part, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _DISK_IS_FULL:
            raise
        # File systems refuse links in many ways: EPERM, EACCES, EXDEV, EINVAL, ENOSYS, EMLINK...
        return _rename(part, name)
    return True


def _rename(part: Path, name: Path) -> bool:
    """Give a file its final name by a rename, which alone would overwrite a file."""
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    try:
        part.replace(name)
    except OSError:
        name.unlink()
        raise
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(numbered(path.name, number))


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _key(path: Path) -> str:
    return path.name.casefold()

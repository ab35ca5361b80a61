"""The files of results: each has a name of its own, and is whole or absent.

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
import itertools
import os
import re
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePath
from typing import ParamSpec, TypeVar
from urllib.parse import unquote

from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Photo
from photoanimer_async.redaction import is_url, printable

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MAX_STEM_BYTES = 180  # with a number and a suffix, a name stays within 200
_UNSAFE = re.compile(r'[/\\:*?"<>|]')
_JOINERS = "\u200c\u200d"  # not printable by themselves, but part of Persian words and emoji
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


async def on_disk(path: Path, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Does a step of file work in a thread; if cancelled, when it is done.

    Raises:
        DownloadError: the file system refused.
    """
    work = asyncio.ensure_future(asyncio.to_thread(step, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # looked at, so that asyncio does not report it as forgotten
        raise
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
        self.destination = next(filter(_made_part, numbered(self.destination)))
        self._created = True

    def write(self, offset: int, data: bytearray) -> None:
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
            names = filter(self._is_not_underway, numbered(self.destination))
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
    """A folder in which every result gets a name of its own, after its photo.

    `grandma.jpg` becomes `grandma.mp4`, a second one `grandma-2.mp4`. A URL gives the last
    part of its path, content in memory `photo`. No name is given that is already in the
    folder, whatever the case of its letters, or that another photo holds.

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
        self, photo: Photo, suffix: str, *, name: str | None = None, earlier: Path | None = None
    ) -> AsyncIterator[Path]:
        """A path for a photo's result, nobody else's until the end of the block.

        Claimed before the submit, it also shows that there is a folder to write to before
        money is spent.

        Args:
            photo: what the result is named after.
            suffix: `.mp4` or `.gif`.
            name: another name for it, without suffix.
            earlier: the path that a killed run of ours had claimed for it. It is claimed again,
                and the `.part` that may be left of it is removed.

        Raises:
            DownloadError: the folder can not be made or written to.
        """
        stem = safe_stem(name if name is not None else _name_of(photo))
        path = await on_disk(self.path, self._claim, stem, suffix, earlier)
        try:
            yield path
        finally:
            self._claimed.discard(_key(path))

    def _claim(self, stem: str, suffix: str, earlier: Path | None) -> Path:
        wanted = self.path / f"{stem}{suffix}"
        with self._lock:
            self.path.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if earlier is not None and self._is_ours(earlier):
                for kind in (".mp4", ".gif"):
                    part_of(earlier.with_suffix(kind)).unlink(missing_ok=True)
                self._claimed.add(_key(earlier))
                return earlier
            first = self._numbers.get(_key(wanted), 1)
            path = next(filter(self._is_free, numbered(wanted, first)))
            self._claimed.add(_key(path))
            if path != wanted:
                # Where to look on: else a thousand photos of one name would look at a
                # thousand names each.
                self._numbers[_key(wanted)] = _number(path)
            return path

    def _is_ours(self, earlier: Path) -> bool:
        here = earlier.parent == self.path.absolute()
        return here and _key(earlier) not in self._claimed

    def _is_free(self, path: Path) -> bool:
        taken = os.path.lexists(path) or os.path.lexists(part_of(path))
        return not taken and _key(path) not in self._claimed


def safe_stem(name: str) -> str:
    """The name as one that every file system takes; `photo` if nothing is left of it."""
    normal = unicodedata.normalize("NFC", name)
    visible = "".join(c if c.isprintable() or c in _JOINERS else "_" for c in normal)
    stem = _cut(_UNSAFE.sub("_", visible).strip(" .-")).rstrip(" .-") or "photo"
    return f"_{stem}" if _RESERVED.fullmatch(stem) else stem


def _name_of(photo: Photo) -> str:
    if isinstance(photo, bytes):
        return "photo"
    path = os.fspath(photo)
    if isinstance(photo, str) and is_url(photo):
        path = unquote(re.split("[?#]", photo.partition("//")[2].partition("/")[2])[0])
    return PurePath(path).stem


def numbered(path: Path, first: int = 1) -> Iterator[Path]:
    """The path with the numbers from `first` on; 1 is the path itself."""
    for number in itertools.count(first):
        numbered = path.with_name(f"{_cut(path.stem)}-{number}{path.suffix}")
        yield path if number == 1 else numbered


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _cut(stem: str) -> str:
    return stem.encode(errors="replace")[:_MAX_STEM_BYTES].decode(errors="ignore")


def part_of(path: Path) -> Path:
    """Where a result is until it is complete."""
    return path.with_name(f"{path.name}.part")


def _key(path: Path) -> str:
    return path.name.casefold()

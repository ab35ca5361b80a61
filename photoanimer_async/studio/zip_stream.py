"""A zip file that is created while it is sent, never whole in memory or on disk.

Its content is stored uncompressed, since videos do not compress. The pieces come from a plain
iterator that reads files; the sender requests each piece in a thread.
"""

import io
import itertools
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from attrs import frozen

_CHUNK = 256 * 1024


@frozen
class ArchivedFile:
    """A file on disk and its name in the zip."""

    path: Path
    name: str


class _Buffer(io.RawIOBase):
    """A write-only stream whose content is collected between writes."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override] # zipfile writes these types only
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        piece, self._written = bytes(self._written), bytearray()
        return piece


def zip_pieces(files: Iterable[ArchivedFile]) -> Iterator[bytes]:
    """Yield the zip in pieces. Blocking. A file that no longer exists is left out."""
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            try:
                source = file.path.open("rb")
            except FileNotFoundError:
                continue
            info = zipfile.ZipInfo.from_file(file.path, file.name, strict_timestamps=False)
            with source, archive.open(info, "w") as entry:
                while chunk := source.read(_CHUNK):
                    entry.write(chunk)
                    yield buffer.take()
    yield buffer.take()


def with_distinct_names(files: Iterable[ArchivedFile]) -> Iterator[ArchivedFile]:
    """Yield the files, with a number added to each name that occurred before in any case."""
    taken: set[str] = set()
    for file in files:
        path = PurePath(file.name)
        names = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
        name = next(n for n in itertools.chain([file.name], names) if n.casefold() not in taken)
        taken.add(name.casefold())
        yield ArchivedFile(file.path, name)

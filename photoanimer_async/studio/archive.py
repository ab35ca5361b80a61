"""A zip of many files, made while it is sent: it is never whole in memory or on the disk.

What is in it are videos, which zip makes no smaller, so they are stored as they are. The
pieces come from an ordinary iterator that reads files; whoever sends them asks for each in a
thread, and the next one is read when the one before has been sent.
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
    """A file, and what it is called in the archive."""

    path: Path
    name: str


class _Pieces(io.RawIOBase):
    """Where the archive is written to, and taken from."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override] # any buffer will do
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """What has been written since the last call."""
        piece, self._written = bytes(self._written), bytearray()
        return piece


def zip_pieces(files: Iterable[ArchivedFile]) -> Iterator[bytes]:
    """The archive, piece by piece. Blocking. A file that is gone by then is left out."""
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            try:
                source = file.path.open("rb")
            except FileNotFoundError:
                continue
            info = zipfile.ZipInfo.from_file(file.path, file.name, strict_timestamps=False)
            with source, archive.open(info, "w") as entry:
                while chunk := source.read(_CHUNK):
                    entry.write(chunk)
                    yield pieces.take()
    yield pieces.take()


def with_distinct_names(files: Iterable[ArchivedFile]) -> Iterator[ArchivedFile]:
    """The files, with a number in each name that was there before, whatever its case."""
    taken: set[str] = set()
    for file in files:
        path = PurePath(file.name)
        names = (f"{path.stem}-{number}{path.suffix}" for number in itertools.count(2))
        name = next(n for n in itertools.chain([file.name], names) if n.casefold() not in taken)
        taken.add(name.casefold())
        yield ArchivedFile(file.path, name)

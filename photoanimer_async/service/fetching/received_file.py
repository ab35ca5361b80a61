"""A file that has been fetched: in memory while it is small, on disk as soon as it is not.

So what a service holds for others takes little memory, however many files arrive at once and
however slowly. A file on disk has no name, and is gone when it is closed or the process dies.
"""

import asyncio
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, Self, TypeVar, cast

_T = TypeVar("_T")

LARGEST_IN_MEMORY: Final = 128 * 1024
"""Bytes of a file that are kept in memory; a larger one is on disk."""


class ReceivedFile:
    """One file; whoever has it closes it.

    Args:
        folder: the folder whose disk takes large files; by default that of the system.

    Attributes:
        size: its length in bytes, so far.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: BinaryIO = BytesIO()
        self.size = 0

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return a small file with this content."""
        file = cls()
        file._file = BytesIO(content)
        file.size = len(content)
        return file

    async def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            OSError: the disk is full, or this process has too many open files.
        """
        self.size += len(chunk)
        if self._is_on_disk:
            await asyncio.to_thread(self._write_to_disk, chunk)
        else:
            self._file.write(chunk)

    def _write_to_disk(self, chunk: bytes) -> None:
        if isinstance(self._file, BytesIO):
            content = self._file.getvalue()
            self._file = cast("BinaryIO", TemporaryFile(dir=self._folder))  # noqa: SIM115 - see close
            self._file.write(content)
        self._file.write(chunk)

    async def use(self, work: Callable[[BinaryIO], _T]) -> _T:
        """Call a function with the file, in a thread if it is on disk, and return the result."""
        self._file.seek(0)
        if self._is_on_disk:
            return await asyncio.to_thread(work, self._file)
        return work(self._file)

    def read(self) -> bytes:
        """Return the whole content; call it in a thread."""
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Forget the content."""
        self._file.close()

    @property
    def _is_on_disk(self) -> bool:
        return self.size > LARGEST_IN_MEMORY

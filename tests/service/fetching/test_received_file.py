"""Fetched files, in memory and on disk."""

import asyncio
import os
from pathlib import Path

import pytest

from photoanimer_async.service.fetching.received_file import LARGEST_IN_MEMORY, ReceivedFile

from ...support.small_disk import fill, small_disk


async def test_a_small_file_is_in_memory(tmp_path: Path) -> None:
    file = ReceivedFile(tmp_path)
    await file.write(b"small ")
    await file.write(b"file")
    assert not file._is_on_disk
    assert (file.size, file.read()) == (10, b"small file")
    assert await file.use(lambda stream: stream.read(5)) == b"small"
    file.close()


async def test_a_large_file_is_on_disk_as_it_arrives_and_has_no_name(tmp_path: Path) -> None:
    file = ReceivedFile(tmp_path)
    chunk = bytes(range(256)) * 256
    for _ in range(10):
        await file.write(chunk)
    assert file.size == 10 * len(chunk) > LARGEST_IN_MEMORY
    assert await file.use(lambda stream: os.fstat(stream.fileno()).st_size) >= 9 * len(chunk)
    assert not os.listdir(tmp_path)  # noqa: PTH208 - pathlib would be too slow for the loop
    assert await file.use(lambda stream: stream.read()) == chunk * 10
    assert await asyncio.to_thread(file.read) == chunk * 10
    file.close()


async def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        fill(disk, free=LARGEST_IN_MEMORY)
        file = ReceivedFile(disk)
        with pytest.raises(OSError, match="No space left"):
            for _ in range(10):
                await file.write(bytes(64 * 1024))
        file.close()

"""A journal has one owner at a time."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from photoanimer_async import (
    JournalInUseError,
)
from photoanimer_async.jobs.journal import Journal

from ...support.journals import SERVICE, photo_count


async def test_one_process_owns_a_journal_at_a_time(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from photoanimer_async.jobs.journal import Journal\n"
        "async def main():\n"
        "    async with Journal(sys.argv[1], 'http://127.0.0.1:1/api/v1'):\n"
        "        print('owned', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    owner = await asyncio.to_thread(
        lambda: subprocess.Popen(
            [sys.executable, "-c", program, path], stdout=subprocess.PIPE, text=True
        )
    )
    assert owner.stdout is not None
    try:
        assert await asyncio.to_thread(owner.stdout.readline) == "owned\n"
        with pytest.raises(JournalInUseError, match=f"process {owner.pid} uses this journal"):
            async with Journal(path, SERVICE):
                pass
        summary = await asyncio.to_thread(photo_count, path)
        assert summary == 0
    finally:
        owner.kill()
        await asyncio.to_thread(owner.wait)
        owner.stdout.close()
    async with Journal(path, SERVICE):
        pass
    assert await asyncio.to_thread(os.listdir, path.parent) == ["batch.db"]

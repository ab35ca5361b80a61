"""A service with an instant renderer in a process that tests kill: DATA_FOLDER NOTIFY_URL."""

import asyncio
import sys

from photoanimer_async.service import LocalService, ServiceSettings
from photoanimer_async.testing.fakes import SampleRenderer


async def main(folder: str, notify_url: str) -> None:
    settings = ServiceSettings(
        data_dir=folder, port=0, notify_url=notify_url, notify_schedule=(0.05,) * 200
    )
    async with LocalService(settings, renderer=SampleRenderer()) as service:
        print(service.base_url, flush=True)  # noqa: T201 - the test reads it
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))

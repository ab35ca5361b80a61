"""The service under test, as a process of its own: `python -m tests.fuzz.service FOLDER`."""

import asyncio
import logging
import sys

from photoanimer_async.service import LocalService, ServiceSettings, serve
from photoanimer_async.service.rendering.process_renderer import ProcessRenderer


async def main(folder: str) -> None:
    """Serves until it is told to stop."""
    settings = ServiceSettings(data_dir=folder, port=0, allow_networks=["127.0.0.1"])

    def started(service: LocalService) -> None:
        print(service.base_url, flush=True)  # noqa: T201 - what the harness reads

    async with ProcessRenderer(
        settings.workers,
        render_seconds=60,
        animate="tests.fuzz.decoding:decode",
        memory=settings.render_memory,
    ) as renderer:
        await serve(settings, renderer=renderer, on_start=started)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    asyncio.run(main(sys.argv[1]))

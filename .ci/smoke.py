"""Animate a photo with nothing but the installed wheel."""

import asyncio
import tempfile
from pathlib import Path

import photoanimer_async
from photoanimer_async import PhotoAnimerClient
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.service import LocalService, ServiceSettings


async def main() -> None:
    """Animate one sample with the local service."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ServiceSettings(data_dir=Path(folder), port=0)
        async with (
            LocalService(settings) as service,
            PhotoAnimerClient("any", base_url=service.base_url) as client,
        ):
            animation = await client.animate(ASTRONAUT.read_bytes(), template=2, save_to=folder)
        assert animation.path is not None  # noqa: S101 - a smoke test
        print(photoanimer_async.__version__, animation.path.stat().st_size)  # noqa: T201 - for the log


if __name__ == "__main__":
    asyncio.run(main())

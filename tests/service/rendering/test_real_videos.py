"""The service with the engine itself, in worker processes, and the loop watched."""

import asyncio
import io
from pathlib import Path

import av
from PIL import Image

import photoanimer_async.engine.samples
from photoanimer_async.service import ServiceSettings

from ..conftest import PhotoHost, Running, running

PORTRAIT = Path(photoanimer_async.engine.samples.__file__).parent / "grace_hopper.jpg"


def jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


def portrait() -> bytes:
    with Image.open(PORTRAIT) as picture:
        picture.thumbnail((320, 320))
        return jpeg(picture)


def frames_of(video: bytes) -> int:
    with av.open(io.BytesIO(video), "r") as container:
        return len(list(container.decode(video=0)))


async def get(service: Running, url: str) -> bytes:
    async with service.session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_a_face_comes_alive_and_what_is_none_says_why(
    tmp_path: Path, host: PhotoHost
) -> None:
    settings = ServiceSettings(data_dir=tmp_path, port=0, workers=1)
    face = portrait()
    async with running(settings, None) as service:
        alive = await service.submit(host.url("face.jpg", face), 2, outputFormat="gif")
        grey = host.url("grey.jpg", jpeg(Image.new("RGB", (320, 320), "grey")))
        refused = [
            await service.submit(grey),
            await service.submit(host.url("cut.jpg", face[: len(face) // 3])),
            await service.submit(
                host.url("face.jpg"), 0, voiceUrl=host.url("voice.mp3", b"no sound")
            ),
        ]

        info = await service.end_of(alive)
        assert info["status"] == 1, info
        video = await get(service, info["resultUrl"])
        assert await asyncio.to_thread(frames_of, video) == 51
        gif = await get(service, info["gifUrl"])
        assert await asyncio.to_thread(frames_of, gif) == 51

        ends = [await service.end_of(task_id) for task_id in refused]
        assert [end["status"] for end in ends] == [2, 2, 2]
        assert [end["failCode"] for end in ends] == [7001, 7002, 40023]
        assert all(end["failReason"] for end in ends)

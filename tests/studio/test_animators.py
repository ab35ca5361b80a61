"""Everyone in a photo, by a second service."""

import io
from pathlib import Path

import pytest
from PIL import Image

from photoanimer_async.engine.samples import ASTRONAUT, GRACE_HOPPER
from photoanimer_async.service import LocalService, ServiceSettings

from ..support.pictures import saved
from .conftest import KEY, CommentRenderer, OpenStudio


def group_portrait() -> bytes:
    """Two people, side by side."""
    people = Image.new("RGB", (1000, 512), "white")
    for at, portrait in ((0, ASTRONAUT), (500, GRACE_HOPPER)):
        with Image.open(io.BytesIO(portrait.read_bytes())) as image:
            people.paste(image.convert("RGB").resize((500, 512)), (at, 0))
    return saved(people, "JPEG", quality=95)


@pytest.mark.slow
async def test_everyone_moves_only_where_there_is_more_than_one_face(
    open_studio: OpenStudio, renderer: CommentRenderer, tmp_path: Path
) -> None:
    for_everyone = CommentRenderer()
    settings = ServiceSettings(data_dir=tmp_path / "everyone", port=0, keys=frozenset({KEY}))
    async with LocalService(settings, renderer=for_everyone) as service:
        page = await open_studio(everyone_url=service.base_url, use_engine=True)
        assert (await page.state())["account"]["everyone"]
        group = await page.add_photo(group_portrait(), "group.jpg")
        assert group["faces"] == 2
        alone = await page.add_photo(ASTRONAUT.read_bytes(), "aunt.jpg")
        clips = await page.start(group, alone, everyone=True)
        assert [clip["everyone"] for clip in clips] == [True, False]
        assert {clip["stage"] for clip in (await page.wait_for_clips()).values()} == {"done"}
        assert (len(for_everyone.jobs), len(renderer.jobs)) == (1, 1)
        [again] = await page.start(group, alone)
        assert not again["everyone"]
        await page.wait_for_clips()
        assert (len(for_everyone.jobs), len(renderer.jobs)) == (1, 2)

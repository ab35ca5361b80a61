"""The folder's layout and the album's file."""

from pathlib import Path

import pytest

from photoanimer_async import PhotoAnimerError

from .conftest import OpenStudio


async def test_a_damaged_album_is_reported_and_not_overwritten(
    open_studio: OpenStudio, tmp_path: Path
) -> None:
    album = tmp_path / "studio" / "album.json"
    album.parent.mkdir()
    album.write_text('{"version": 1, "photographs": [')
    with pytest.raises(PhotoAnimerError, match=r"album\.json: is not an album or is damaged"):
        await open_studio()
    assert album.read_text() == '{"version": 1, "photographs": ['

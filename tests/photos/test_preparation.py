"""Photos are prepared only where they need it, as temporary copies, a few at a time."""

import asyncio
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

import photoanimer_async.photos
from photoanimer_async.errors import (
    InvalidPhotoError,
    InvalidRequestError,
    PreparationError,
)
from photoanimer_async.photos.check import check_photo
from photoanimer_async.photos.preparation import Preparation, prepare_content
from photoanimer_async.photos.rules import MAX_SOURCE_BYTES

from ..support.pictures import (
    CASES,
    SECRETS,
    bmp,
    exif,
    pixels,
    png,
    quarters,
    saved,
    segment,
    shot,
)


class TestAcceptablePhotos:
    @pytest.mark.parametrize(
        "photo",
        [png(64, 48), bmp(64, 48), saved(quarters(), "JPEG"), saved(quarters(), "WEBP")],
        ids=["png", "bmp", "jpeg", "webp"],
    )
    def test_without_metadata_they_stay_as_they_are(self, photo: bytes) -> None:
        assert prepare_content(photo) is None

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_metadata_is_removed_and_pixels_stay(self, kind: str) -> None:
        before = shot(kind)
        after = prepare_content(before)
        assert after is not None
        assert pixels(after) == pixels(before)
        assert [secret for secret in SECRETS if secret in after] == []

    def test_bytes_behind_the_end_are_dropped(self) -> None:
        for kind in ("PNG", "JPEG"):
            plain = saved(quarters(), kind)
            assert prepare_content(plain + b"\n from a phone") == plain

    def test_a_jpeg_without_an_end_marker_gets_one(self) -> None:
        photo = (CASES / "jpeg-without-end.jpg").read_bytes()
        for trailer in (b"", b"\0" * 3000, b"from a phone"):
            assert prepare_content(photo + trailer) == photo + b"\xff\xd9"


class TestManyScans:
    @pytest.mark.parametrize("frame", [b"\xff\xc2", b"\xff\xca"], ids=["Huffman", "arithmetic"])
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_a_jpeg_of_very_many_scans_is_not_decoded(self, frame: bytes, orientation: int) -> None:
        photo = (CASES / "as-mpo.jpg").read_bytes().replace(b"\xff\xc2", frame, 1)
        tags = b"Exif\0\0" + exif(orientation).tobytes().removeprefix(b"Exif\0\0")
        photo = photo[:2] + segment(0xE1, tags) + photo[2:]
        with pytest.raises(InvalidPhotoError, match="is a JPEG of 1506 scans"):
            prepare_content(photo)


class TestRefusedPhotos:
    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"", "is empty"),
            (b"hello", "is text; allowed are PNG, JPEG, BMP, WEBP, HEIC, AVIF and TIFF"),
            (b"GIF89a\1\0\1\0", "is a GIF"),
            (b"II*\0\x08\0\0\0", "is a damaged TIFF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a damaged HEIC"),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
            (png(64, 48) + b"PK\x05\x06" + bytes(18), "a PNG and a ZIP archive at once"),
            (b"\xff\xd8\xff\xfe\0\x0b%PDF-1.4\n", "a JPEG and a PDF at once"),
        ],
    )
    def test_other_content_is_refused(self, content: bytes, text: str, tmp_path: Path) -> None:
        path = tmp_path / "portrait.jpg"
        path.write_bytes(content)
        with pytest.raises(InvalidPhotoError, match=rf"portrait\.jpg: .*{text}") as caught:
            prepare_content(path)
        assert str(caught.value).isprintable()

    def test_a_file_above_256_mb_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "large.tif"
        path.write_bytes(b"II*\0")
        os.truncate(path, MAX_SOURCE_BYTES + 1)
        with pytest.raises(InvalidPhotoError, match="at most 256 MB can be prepared"):
            prepare_content(path)


class TestTemporaryCopy:
    async def test_it_is_private_and_deleted_after_the_block(self, tmp_path: Path) -> None:
        photo = tmp_path / "me.tif"
        photo.write_bytes(saved(quarters(), "TIFF"))
        async with Preparation().prepared(photo) as copy:
            assert isinstance(copy, Path)
            assert copy.suffix == ".jpg"
            assert copy.parent.stat().st_mode & 0o077 == 0
            header = await check_photo(copy)
            assert header is not None
            assert (header.width, header.height) == (64, 32)
        assert not copy.parent.exists()
        assert photo.exists()

    async def test_an_acceptable_photo_is_not_copied(self, tmp_path: Path) -> None:
        photo = tmp_path / "me.png"
        photo.write_bytes(png(64, 48))
        async with Preparation().prepared(photo) as same:
            assert same is photo

    async def test_preparation_does_not_block_the_loop(self, tmp_path: Path) -> None:
        photo = tmp_path / "me.tif"
        photo.write_bytes(saved(quarters(), "TIFF"))
        preparation = Preparation()
        with blockbuster_ctx():
            async with preparation.prepared(photo):
                pass
            with pytest.raises(InvalidPhotoError):
                async with preparation.prepared(tmp_path):
                    pass

    async def test_no_more_photos_at_once_than_processors(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        working: list[int] = []
        most = 0
        two = threading.Barrier(2)

        def prepare_two_at_once(photo: object) -> None:
            nonlocal most
            working.append(1)
            most = max(most, len(working))
            two.wait(60)
            working.pop()

        monkeypatch.setattr(
            "photoanimer_async.photos.preparation.prepare_content", prepare_two_at_once
        )
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        preparation = Preparation()

        async def prepare() -> None:
            async with preparation.prepared(b"photo"):
                pass

        await asyncio.gather(*(prepare() for _ in range(12)))
        assert most == 2

    def test_cancelling_leaves_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

        async def prepare() -> None:
            async with Preparation().prepared(saved(quarters(), "TIFF")):
                pytest.fail("it was cancelled before")

        async def cancel() -> None:
            task = asyncio.create_task(prepare())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert list(tmp_path.iterdir()) == []

    async def test_a_copy_that_cannot_be_saved_is_a_preparation_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(PreparationError, match=r"photo of .* cannot be saved in .*gone"):
            async with Preparation().prepared(saved(quarters(), "TIFF")):
                pass


def test_without_pillow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "photoanimer_async.photos.conversion", raising=False)
    monkeypatch.delattr(photoanimer_async.photos, "conversion", raising=False)
    with pytest.raises(InvalidRequestError) as caught:
        Preparation()
    assert "pip install 'photoanimer-async[prepare]'" in str(caught.value)
    assert "--no-prepare" in str(caught.value)

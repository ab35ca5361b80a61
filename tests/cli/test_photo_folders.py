"""Which photos are found in a folder, and what is counted as skipped."""

from pathlib import Path

import pytest

from photoanimer_async.cli.photo_folders import Skipped, describe_skipped, search_folder

SYSTEM_FOLDERS = [
    "@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "System Volume Information", ".Trashes"
]  # fmt: skip


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize("system_folder", SYSTEM_FOLDERS)
def test_system_folders_are_left_alone(tmp_path: Path, system_folder: str) -> None:
    write(tmp_path, "a.jpg", f"{system_folder}/a.jpg", f"deep/{system_folder}/b.jpg", "deep/c.jpg")
    contents = search_folder(tmp_path, recursive=True)
    assert contents.photos == [tmp_path / "a.jpg", tmp_path / "deep/c.jpg"]
    assert contents.errors == []


def test_a_system_folder_that_is_named_is_searched(tmp_path: Path) -> None:
    write(tmp_path, "@eaDir/a.jpg")
    assert search_folder(tmp_path / "@eaDir").photos == [tmp_path / "@eaDir/a.jpg"]


def test_what_is_skipped_is_counted_by_kind(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "b.MP4", "c.mov", "d.gif", "e.NEF", "f.m4a", "notes.txt", "noext")
    write(tmp_path, ".DS_Store", "Thumbs.db", "@eaDir/a.jpg", "deep/a.jpg", "deeper/a.mp4")
    skipped = search_folder(tmp_path).skipped
    assert describe_skipped(skipped) == (
        "2 videos, 1 GIF, 1 camera raw file, 1 sound, 2 other files, 1 system folder, "
        "2 folders below (--recursive searches them)"
    )
    below = search_folder(tmp_path, recursive=True).skipped
    assert below[Skipped.VIDEO] == 3
    assert below[Skipped.FOLDER_BELOW] == 0


def test_a_folder_without_photos_says_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", "deep/notes.txt", "@eaDir/a.jpg")
    for recursive in (False, True):
        [error] = search_folder(tmp_path, recursive=recursive).errors
        for kind in ("jpg", "png", "bmp", "webp", "heic", "avif", "tif"):
            assert f"{kind}" in str(error)
        assert "--recursive" not in str(error)


def test_a_folder_with_photos_in_folders_below_says_how_to_take_them(tmp_path: Path) -> None:
    write(tmp_path, "deep/deeper/a.jpg")
    [error] = search_folder(tmp_path).errors
    assert str(error).endswith("but in folders below it: add --recursive")
    assert search_folder(tmp_path, recursive=True).errors == []

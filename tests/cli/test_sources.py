import os
from pathlib import Path

import pytest

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.cli.sources import find_photos
from photoanimer_async.errors import InvalidPhotoError


def test_urls_and_files_stay_as_they_were_named() -> None:
    named = ["https://x.example/a.jpg?sig=1", "b.jpg", "HTTP://x.example/c"]
    assert find_photos(named) == [named[0], Path("b.jpg"), named[2]]


def test_a_folder_stands_for_its_photos_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.webp", "d.heic", "notes.txt", "clip.gif", "._a.jpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "e.jpg").mkdir()
    os.mkfifo(tmp_path / "f.jpg")
    assert find_photos([str(tmp_path)]) == [
        tmp_path / name for name in ("a.jpg", "b.PNG", "c.webp", "d.heic")
    ]


def test_a_folder_without_photos_is_an_error_in_its_place(tmp_path: Path) -> None:
    first, error, last = find_photos(["a.jpg", str(tmp_path), "b.jpg"])
    assert (first, last) == (Path("a.jpg"), Path("b.jpg"))
    assert isinstance(error, InvalidPhotoError)
    assert error.photo == str(tmp_path)
    assert "there is no photo in the folder" in str(error)


def test_a_loop_of_links_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert find_photos([str(tmp_path)]) == [tmp_path / "a.jpg"]


def test_an_empty_name_does_not_stand_for_the_current_folder() -> None:
    with pytest.raises(WrongUseError, match="empty"):
        find_photos([""])

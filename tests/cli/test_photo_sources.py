"""Which photos the arguments of a command stand for."""

import io
import os
from pathlib import Path

import pytest

from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.photo_sources import FoundPhoto, find_photos
from photoanimer_async.cli.standard_streams import STANDARD_INPUT
from photoanimer_async.errors import InvalidPhotoError


def names(found: list[FoundPhoto], folder: Path) -> list[str]:
    """The photos as seen from a folder; for what is none, the error's text."""
    return [
        str(one) if isinstance(one, InvalidPhotoError) else str(Path(one).relative_to(folder))
        for one in found
    ]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("b.jpg", "A/c.jpg", "A/deep/a.heic", "A/deep/notes.txt", ".hidden/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "A/deep/round").symlink_to("..")
    return tmp_path


class TestNames:
    def test_urls_and_files_are_unchanged(self) -> None:
        named = ["https://x.example/a.jpg?sig=1", "b.jpg", "HTTP://x.example/c"]
        assert find_photos(named) == [named[0], Path("b.jpg"), named[2]]

    def test_a_photo_found_twice_is_returned_once(self, album: Path) -> None:
        named = [str(album), str(album / "b.jpg"), str(album / "*.jpg"), "http://x/a", "http://x/a"]
        assert find_photos(named) == [album / "b.jpg", "http://x/a"]

    def test_an_empty_name_is_wrong_use(self) -> None:
        with pytest.raises(UsageError, match="empty"):
            find_photos([""])


class TestFolders:
    def test_stand_for_their_photos_sorted_by_name(self, tmp_path: Path) -> None:
        for name in ("b.PNG", "a.jpg", "c.webp", "d.heic", "notes.txt", "clip.gif", "._a.jpg"):
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "e.jpg").mkdir()
        assert names(find_photos([str(tmp_path)]), tmp_path) == [
            "a.jpg", "b.PNG", "c.webp", "d.heic"
        ]  # fmt: skip

    def test_files_with_a_photo_suffix_are_checked_later(self, tmp_path: Path) -> None:
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
        os.mkfifo(tmp_path / "pipe.jpg")
        found = names(find_photos([str(tmp_path)]), tmp_path)
        assert found == ["gone.jpg", "loop.jpg", "pipe.jpg"]

    def test_without_photos_are_errors(self, tmp_path: Path) -> None:
        first, error, last = find_photos(["a.jpg", str(tmp_path), "b.jpg"])
        assert (first, last) == (Path("a.jpg"), Path("b.jpg"))
        assert isinstance(error, InvalidPhotoError)
        assert error.photo == str(tmp_path)
        assert "there is no photo in the folder" in str(error)

    def test_are_searched_recursively_with_the_option(self, album: Path) -> None:
        assert names(find_photos([str(album)]), album) == ["b.jpg"]
        found = names(find_photos([str(album)], recursive=True), album)
        assert found == ["b.jpg", "A/c.jpg", "A/deep/a.heic"]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("*.jpg", ["b.jpg"]),
            ("**/*.jpg", ["A/c.jpg", "b.jpg"]),
            ("*/deep/[ab].*", ["A/deep/a.heic"]),
            ("**", ["A/c.jpg", "A/deep/a.heic", "A/deep/notes.txt", "b.jpg"]),
        ],
    )
    def test_match_files_once_but_not_hidden_ones(
        self, album: Path, pattern: str, found: list[str]
    ) -> None:
        assert names(find_photos([str(album / pattern)]), album) == found

    def test_without_a_match_are_errors(self, album: Path) -> None:
        [error] = find_photos([str(album / "*.png")])
        assert "no file matches" in str(error)

    def test_a_file_of_that_name_has_priority(
        self, album: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(album)
        Path("[b].jpg").write_bytes(b"")
        assert find_photos(["[b].jpg"]) == [Path("[b].jpg")]
        assert find_photos(["[ab].jpg"]) == [Path("b.jpg")]


class TestStandardInput:
    @pytest.mark.parametrize(
        ("listed", "found"),
        [
            (b"a.jpg\n\nhttp://x.example/b.jpg\r\n", [Path("a.jpg"), "http://x.example/b.jpg"]),
            (b"two\nlines.jpg\0b.jpg\0", [Path("two\nlines.jpg"), Path("b.jpg")]),
            (b"latin \xe9.jpg", [Path(os.fsdecode(b"latin \xe9.jpg"))]),
            (b"-x.jpg\n", [Path("-x.jpg")]),
        ],
    )
    def test_lists_photos(
        self, listed: bytes, found: list[FoundPhoto], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listed)))
        assert find_photos(["first.jpg", STANDARD_INPUT]) == [Path("first.jpg"), *found]

    def test_without_names_is_wrong_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n \n")))
        with pytest.raises(UsageError, match="standard input lists no photo"):
            find_photos([STANDARD_INPUT])

    def test_can_be_named_once(self) -> None:
        with pytest.raises(UsageError, match="once"):
            find_photos([STANDARD_INPUT, STANDARD_INPUT])

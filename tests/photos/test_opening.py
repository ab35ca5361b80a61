"""Photos are opened safely, and errors name them."""

import os
from pathlib import Path

import pytest

from photoanimer_async.photos.check import inspect_photo

from ..support.pictures import jpeg, refusal


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "gone.jpg")
    assert "there is no such file" in refusal("")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder, not a file" in refusal(tmp_path)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "is a pipe" in refusal(tmp_path / "pipe.jpg")


def test_a_device_is_refused() -> None:
    assert "is a device" in refusal("/dev/zero")


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    assert "cannot be read: Too many levels of symbolic links" in refusal(loop)


@pytest.mark.parametrize("name", ["a\0b.jpg", "\ud800.jpg"], ids=ascii)
def test_an_impossible_file_name_is_refused(name: str) -> None:
    assert "no file can have such a name" in refusal(name)


def test_a_name_that_is_too_long_is_refused() -> None:
    assert "File name too long" in refusal("n" * 300)


@pytest.mark.parametrize(
    "name", [b"two\nlines", b"tab\t\x1b[31mred", b"\xff\xfe latin", "👵🏽".encode(), b"'\"`$"]
)
def test_any_file_name_is_shown_in_one_printable_line(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"no photo")
    assert "is text" in refusal(path)
    path.write_bytes(jpeg(64, 64))
    assert inspect_photo(path) is not None


@pytest.mark.parametrize("photo", [None, 7, bytearray(b"x"), ["a.jpg"]], ids=repr)
def test_other_types_are_refused(photo: object) -> None:
    assert f"not {type(photo).__name__}" in refusal(photo)


@pytest.mark.parametrize("scheme", ["ftp", "file", "s3", "data"])
def test_urls_of_other_schemes_are_refused(scheme: str) -> None:
    assert f"{scheme} URLs are not supported; http and https are" in refusal(f"{scheme}://x/a.jpg")

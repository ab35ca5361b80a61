"""The file name of a result."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.models import Photo
from photoanimer_async.storage.result_names import numbered, result_name, safe_stem


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        ("photos/grandma.jpg", "grandma.mp4"),
        (Path("/x/grand.ma.jpeg"), "grand.ma.mp4"),
        ("https://example.com/a/grandma.jpg?token=1#x", "grandma.mp4"),
        ("https://example.com/a%20b%2Fgrand%C3%A4.png", "grandä.mp4"),
        ("https://example.com/", "photo.mp4"),
        ("https://example.com", "photo.mp4"),
        ("http://[broken", "photo.mp4"),
        (b"content", "photo.mp4"),
        ("..", "photo.mp4"),
        (".jpg", "jpg.mp4"),
        ("-rf.jpg", "rf.mp4"),
        ("a\nb\x1b[31m.jpg", "a_b_[31m.mp4"),
        ('a:b\\c*?"<>|.jpg', "a_b_c______.mp4"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf_.mp4"),
        ("con.jpg", "_con.mp4"),
        ("LPT1.old.jpg", "_LPT1.old.mp4"),
        ("👩\u200d🚀.jpg", "👩\u200d🚀.mp4"),
        ("ü" * 120 + ".jpg", "ü" * 90 + ".mp4"),
    ],
    ids=range(18),
)
def test_a_result_is_named_after_its_photo(photo: Photo, name: str) -> None:
    assert result_name(photo, ".mp4") == name


def test_a_given_name_replaces_that_of_the_photo() -> None:
    assert result_name("me.jpg", ".gif", name="holiday.old") == "holiday.old.gif"


def test_numbers_are_added_before_the_suffix() -> None:
    names = [numbered("me-2.mp4", number) for number in (1, 2, 3)]
    assert names == ["me-2.mp4", "me-2-2.mp4", "me-2-3.mp4"]


@given(st.text(max_size=300))
def test_any_name_becomes_safe(name: str) -> None:
    stem = safe_stem(name)
    assert stem
    assert len(stem.encode()) <= 200
    assert not set(stem) & set('/\\:*?"<>|\0\n')
    assert stem == stem.strip(" .-")
    assert safe_stem(stem) == stem

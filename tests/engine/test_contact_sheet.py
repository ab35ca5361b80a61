"""Contact sheets: rows of moments, and an earlier sheet beside the new one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photoanimer_async.engine.contact_sheet import main
from photoanimer_async.engine.samples import ASTRONAUT

SMALL = ["--columns", "3", "--side", "40"]


def drawn(out: Path, *options: str) -> np.ndarray:
    main([str(ASTRONAUT), *SMALL, "--out", str(out), *options])
    with Image.open(out) as sheet:
        return np.asarray(sheet.convert("RGB"))


def test_a_row_has_moments_of_one_expression(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "sheet.png", "--template", "2", "--template", "5")
    row = 40 + 18
    assert sheet.shape == (2 * row, 3 * 40, 3)
    tiles = np.hsplit(sheet[18:row], 3)
    assert all((one != other).any() for one, other in itertools.pairwise(tiles))


def test_an_earlier_sheet_is_shown_at_the_left(tmp_path: Path) -> None:
    before = tmp_path / "before.png"
    alone = drawn(before, "--template", "2")
    both = drawn(tmp_path / "both.png", "--template", "2", "--beside", str(before))
    assert (both == np.hstack([alone, alone])).all()
    with pytest.raises(SystemExit, match="draw it with the same photos"):
        drawn(tmp_path / "other.png", "--template", "2", "--template", "2", "--beside", str(before))


def test_a_file_that_is_no_photo_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no photo")
    with pytest.raises(SystemExit, match="not"):
        main([str(text), *SMALL, "--out", str(tmp_path / "sheet.png")])
    with pytest.raises(SystemExit, match=r"missing\.jpg"):
        main([str(tmp_path / "missing.jpg"), *SMALL])

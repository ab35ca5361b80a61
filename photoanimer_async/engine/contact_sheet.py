"""Contact sheets: all expressions of some photos in one picture.

::

    python -m photoanimer_async.engine.contact_sheet PHOTO... --out sheet.png

Each row is one photo with one expression, at moments spread evenly over its video. To compare an
engine before and after a change, draw the sheet twice, the second time with `--beside before.png`.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from photoanimer_async.engine.engine_errors import EngineError
from photoanimer_async.engine.engines import WARP, Engine, load_engine
from photoanimer_async.engine.expressions import EXPRESSIONS, Expression, motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture, fit, load_picture

_LONGEST_SIDE = 1280
_FACE_MARGIN = 0.45
"""Margin around the face, relative to the size of its box."""

_CAPTION_HEIGHT = 18


def contact_sheet(
    photos: Sequence[Picture],
    *,
    engine: Engine,
    templates: Sequence[int] = tuple(range(len(EXPRESSIONS))),
    columns: int = 8,
    side: int = 180,
) -> Picture:
    """Draw a contact sheet of the largest face of each photo.

    Args:
        photos: RGB, shape (H, W, 3). Photos without a face are skipped.
        engine: Renders the frames.
        templates: Expressions to show.
        columns: Number of moments of each expression.
        side: Side of each tile, in pixels.

    Raises:
        EngineError: None of the photos has a face.
    """
    finder = FaceFinder()
    rows = []
    for photo in photos:
        small = fit(photo, _LONGEST_SIDE)
        for face in finder.find(small)[:1]:
            portrait = engine.prepare(small, face)
            window = _window(small, face)
            for template in templates:
                motions = motion(template, seed=0, yaw=math.degrees(face.yaw))
                moments = np.linspace(0, len(motions) - 1, columns + 2).round().astype(int)[1:-1]
                frames = [portrait.frame(motions[at]) for at in moments.tolist()]
                tiles = [_tile(frame[window], side) for frame in frames]
                rows.append(_captioned(np.hstack(tiles), EXPRESSIONS[template]))
    if not rows:
        raise EngineError("No face was found in any of the photos.")
    return np.vstack(rows)


def _window(picture: Picture, face: Face) -> tuple[slice, slice]:
    """Return a square around a face, limited to the picture."""
    left, top, right, bottom = face.box
    reach = max(right - left, bottom - top) * (0.5 + _FACE_MARGIN)
    x, y = face.centre
    height, width = picture.shape[:2]
    reach = min(reach, width / 2, height / 2)
    x, y = np.clip(x, reach, width - reach), np.clip(y, reach, height - reach)
    return slice(int(y - reach), int(y + reach)), slice(int(x - reach), int(x + reach))


def _tile(part: Picture, side: int) -> Picture:
    interpolation = cv2.INTER_AREA if part.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (side, side), interpolation=interpolation), np.uint8)


def _captioned(row: Picture, expression: Expression) -> Picture:
    caption = Image.new("RGB", (row.shape[1], _CAPTION_HEIGHT), "white")
    text = f"{expression.template}  {expression.title}: {expression.description}"
    ImageDraw.Draw(caption).text((4, 3), text, fill="black")
    return np.vstack([np.asarray(caption), row])


def _beside(before: Picture, after: Picture) -> Picture:
    if before.shape[0] != after.shape[0]:
        raise ValueError(
            f"--beside is {before.shape[0]} pixels high, not {after.shape[0]}: draw it with the "
            "same photos, templates and side"
        )
    return np.hstack([before, after])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m photoanimer_async.engine.contact_sheet",
        description="Draw all expressions of some photos in one picture.",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("--out", type=Path, default=Path("contact_sheet.png"))
    parser.add_argument("--beside", type=Path, help="an earlier sheet, to be shown at the left")
    parser.add_argument("--engine", default=WARP, help="default: %(default)s")
    parser.add_argument(
        "--template", type=int, action="append", help="default: all; can be given more than once"
    )
    parser.add_argument("--columns", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--side", type=int, default=180, help="default: %(default)s px")
    given = parser.parse_args(arguments)
    try:
        sheet = contact_sheet(
            [load_picture(path.read_bytes()) for path in given.photos],
            engine=load_engine(given.engine),
            templates=given.template or range(len(EXPRESSIONS)),
            columns=given.columns,
            side=given.side,
        )
        if given.beside is not None:
            sheet = _beside(load_picture(given.beside.read_bytes()), sheet)
    except (EngineError, OSError, ValueError) as error:
        sys.exit(str(error))
    Image.fromarray(sheet).save(given.out)


if __name__ == "__main__":
    main()

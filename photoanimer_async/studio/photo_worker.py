"""What worker processes do with photos: they alone decode what was uploaded.

The service's `ProcessRenderer` runs them with limits of memory and time, and calls the functions
here as it calls the engine. It knows one kind of job, with one output file called `mp4`: that of
`examine` is a report in JSON, beside which the prepared photo and its thumbnails are written.
"""

import io
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from photoanimer_async import InvalidPhotoError, PreparationError
from photoanimer_async.engine.engine_errors import NoFaceError, PictureError
from photoanimer_async.redaction import shown_photo

if TYPE_CHECKING:
    from photoanimer_async.engine.face import Face
    from photoanimer_async.engine.picture import Picture

LINKED, UPLOADED = 0, 1
"""Kinds of photos, in place of a template: only an uploaded one is prepared."""

PREPARED = "prepared"
"""Suffix of the prepared photo; there is none if the photo stays as it is."""

THUMBNAIL_SIDES = {"small": 256, "poster": 640}
"""Longest sides of the thumbnails in pixels, by their suffixes."""

_THUMBNAIL_QUALITY = 80
_THUMBNAIL_BYTES = 2**20
_QUICK_SEARCHES = 2
"""Searches for faces that are made in each photo; all are made only where these find none."""
_PREVIEW_SIDE = 320
_FACE_MARGIN = 0.8
"""Margin around a face in its preview, relative to the face's size."""


def examine(photo: bytes, kind: int, *, mp4: Path, find_faces: bool, **_: object) -> None:
    """Prepare a photo, make its thumbnails, and count its faces.

    Args:
        photo: the content of the file.
        kind: `LINKED` or `UPLOADED`.
        mp4: the report: `refusal`, why it is no photo or cannot be used, or `faces`, their number,
            if they were searched for. Other files have this path with another suffix.
        find_faces: whether to search for faces, which needs the engine.
    """
    report: dict[str, object] = {}
    try:
        faces = _examine(photo, kind, mp4, find_faces=find_faces)
        report["faces"] = faces
    except (InvalidPhotoError, PreparationError, PictureError) as error:
        report["refusal"] = str(error).removeprefix(f"{shown_photo(photo)}: ")
    _write(mp4, json.dumps(report).encode())


def _examine(photo: bytes, kind: int, report: Path, *, find_faces: bool) -> int | None:
    from photoanimer_async.photos.preparation import prepare_content  # noqa: PLC0415 - loaded once

    prepared = prepare_content(photo) if kind == UPLOADED else None
    if prepared is not None:
        _write(report.with_suffix(f".{PREPARED}"), prepared)
        photo = prepared
    _write_thumbnails(photo, report)
    return _count_faces(photo) if find_faces else None


def _write_thumbnails(photo: bytes, report: Path) -> None:
    from PIL import Image  # noqa: PLC0415 - an extra

    from photoanimer_async.photos.conversion import (  # noqa: PLC0415 - an extra
        convert_to_jpeg,
        open_picture,
    )
    from photoanimer_async.photos.formats import detect_format  # noqa: PLC0415 - loaded once
    from photoanimer_async.photos.header import PictureFlawError  # noqa: PLC0415 - loaded once
    from photoanimer_async.photos.pictures.colours import source_profile  # noqa: PLC0415 - an extra

    file = io.BytesIO(photo)
    found = detect_format(file)
    if found is None:
        raise PictureError("is not a photo")
    largest = max(THUMBNAIL_SIDES.values())
    try:
        image = open_picture(file, found)
        profile = source_profile(image, file)
        image = open_picture(file, found)  # the search for a profile may have read pixels
        jpeg = convert_to_jpeg(image, profile, max_side=largest, max_bytes=_THUMBNAIL_BYTES)
    except PictureFlawError as flaw:
        raise PictureError(str(flaw)) from flaw
    for name, side in THUMBNAIL_SIDES.items():
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as thumbnail:
            thumbnail.thumbnail((side, side))
            content = io.BytesIO()
            thumbnail.save(content, "JPEG", quality=_THUMBNAIL_QUALITY)
        _write(report.with_suffix(f".{name}"), content.getvalue())


def _count_faces(photo: bytes) -> int:
    from photoanimer_async.engine.detection import SEARCHED_SIDE  # noqa: PLC0415 - slow to import
    from photoanimer_async.engine.face import FaceFinder  # noqa: PLC0415 - slow to import
    from photoanimer_async.engine.picture import load_picture  # noqa: PLC0415 - slow to import

    finder, picture = FaceFinder(), load_picture(photo, SEARCHED_SIDE)
    faces = finder.find_all(picture, _QUICK_SEARCHES)
    return len(faces or finder.find(picture))


def render_preview(photo: bytes, template: int, *, mp4: Path, **_: object) -> None:
    """Write a small clip of the largest face to `mp4`.

    Raises:
        EngineError: the photo cannot be decoded, or there is no face in it.
    """
    from photoanimer_async.engine import RenderSettings, animate  # noqa: PLC0415 - slow to import
    from photoanimer_async.engine.face import FaceFinder  # noqa: PLC0415 - slow to import
    from photoanimer_async.engine.picture import load_picture  # noqa: PLC0415 - slow to import

    picture = load_picture(photo)
    faces = FaceFinder().find(picture)
    if not faces:
        raise NoFaceError("No face was found in the photo.")
    face = _bmp(_crop_around(picture, faces[0]))
    animate(face, template, mp4=mp4, settings=RenderSettings(longest_side=_PREVIEW_SIDE))


def _crop_around(picture: "Picture", face: "Face") -> "Picture":
    """Return a square around a face, limited to the picture."""
    left, top, right, bottom = face.box
    height, width = picture.shape[:2]
    reach = min(max(right - left, bottom - top) * (0.5 + _FACE_MARGIN), width / 2, height / 2)
    across, down = face.centre
    x = int(min(max(across - reach, 0), width - 2 * reach))
    y = int(min(max(down - reach, 0), height - 2 * reach))
    side = int(2 * reach)
    return picture[y : y + side, x : x + side]


def _bmp(picture: "Picture") -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "BMP")
    return file.getvalue()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.write_bytes(content)
    part.replace(path)

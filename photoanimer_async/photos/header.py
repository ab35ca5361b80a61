"""Read format, width and height of a picture, and whether it is complete, without decoding it.

A few KiB of the file are enough:

- PNG: the first chunk is IHDR, the last is IEND (PNG specification, 11.2.2 and 11.2.5). Bytes
  behind it are no part of the picture.
- JPEG: the segments are skipped one by one, since kilobytes of Exif and colour profile may precede
  the frame header (ITU-T T.81, B.1 and B.2.2). The end marker is searched in the last KiB, behind
  the first scan only, since a thumbnail in the Exif has an end marker too. Phones append videos
  and notes to their photos, and some writers omit the marker: only then the whole file is read
  (`pictures.jpeg_scans`).
- WEBP: the RIFF header states the file's length (RFC 9649; RFC 6386, 9.1 for VP8).
- BMP: the length is computed from the header, since writers get its own length field wrong.
"""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from attrs import frozen

from photoanimer_async.photos.formats import PictureFormat, describe_content, detect_format
from photoanimer_async.photos.pictures.jpeg_scans import read_layout, with_end

_TAIL_BYTES = 1024
_MAX_SEGMENTS = 2000

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
# The start-of-frame markers; the three excluded ones are tables and an extension.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1, 0xC9})
_JPEG_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD8)) | {0x01}
_JPEG_FILL, _JPEG_IMAGE_START, _JPEG_IMAGE_END, _JPEG_SCAN = 0xFF, 0xD8, 0xD9, 0xDA
_BMP_CORE_HEADER = 12
_BMP_RUN_LENGTHS = frozenset({1, 2})


@frozen
class PictureHeader:
    """A picture's format, and its width and height in pixels as stored (before any rotation)."""

    format: PictureFormat
    width: int
    height: int


class PictureFlawError(Exception):
    """A picture file is not acceptable; the text continues a sentence that begins with its name.

    Internal: callers of the package get an `InvalidPhotoError` instead.
    """


def read_header(file: BinaryIO) -> PictureHeader:
    """Read a picture's format, width and height.

    Args:
        file: the picture, or at least its beginning; seekable.

    Raises:
        PictureFlawError: the file is not PNG, JPEG, WEBP or BMP, or its header is damaged.
    """
    match detect_format(file):
        case PictureFormat.PNG:
            return _png_header(file)
        case PictureFormat.JPEG:
            return _jpeg_header(file)
        case PictureFormat.WEBP:
            return _webp_header(file)
        case PictureFormat.BMP:
            return _bmp_header(file)
        case _:
            raise PictureFlawError(
                f"is {describe_content(file)}; allowed are PNG, JPEG, BMP and WEBP"
            )


def is_complete(file: BinaryIO, size: int, picture_format: PictureFormat) -> bool:
    """Return whether the picture has its end, so that it was not cut off.

    Args:
        file: the whole file; seekable.
        size: its length in bytes.
        picture_format: its format, from `read_header`.

    Raises:
        PictureFlawError: the header is damaged or cut off.
    """
    match picture_format:
        case PictureFormat.PNG:
            return _png_is_whole(file, size)
        case PictureFormat.JPEG:
            return _jpeg_is_whole(file, size)
        case PictureFormat.BMP:
            return _bmp_length(file) <= size
        case PictureFormat.WEBP:
            (length,) = _fields(file, 4, "<I")
            return bool(8 + length <= size)


def require_few_scans(file: BinaryIO, picture_format: PictureFormat) -> None:
    """Check that a JPEG takes no longer to decode than those that encoders write.

    Args:
        file: the whole picture; it is read only if it is a JPEG of more than one scan.
        picture_format: its format, from `read_header`.

    Raises:
        PictureFlawError: it has far too many scans.
    """
    if picture_format is not PictureFormat.JPEG or _has_one_scan(file):
        return
    file.seek(0)
    layout = read_layout(file.read())
    if layout is not None and layout.has_too_many_scans:
        raise PictureFlawError(
            f"is a JPEG of {layout.scans} scans, which no camera writes; it is not decoded, "
            "because that takes very long"
        )


def _bytes_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise PictureFlawError("is cut off within its header")
    return data


# Any: the layout, not a type, determines what is returned.
def _fields(file: BinaryIO, offset: int, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, _bytes_at(file, offset, struct.calcsize(layout)))


def _png_header(file: BinaryIO) -> PictureHeader:
    kind, width, height = _fields(file, 12, ">4sII")
    if kind != b"IHDR":
        raise PictureFlawError("is a damaged PNG: its header is not at its beginning")
    return PictureHeader(PictureFormat.PNG, width, height)


def _png_is_whole(file: BinaryIO, size: int) -> bool:
    if _bytes_at(file, max(0, size - len(_PNG_END)), len(_PNG_END)) == _PNG_END:
        return True
    offset = 8
    while offset + len(_PNG_END) <= size:
        length, kind = _fields(file, offset, ">I4s")
        if kind == b"IEND":
            return True
        offset += 12 + int(length)
    return False


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield each segment's marker and the offset of its content, up to the first scan."""
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        prefix, marker = _bytes_at(file, offset, 2)
        if prefix != _JPEG_FILL or marker in {0, _JPEG_IMAGE_START, _JPEG_IMAGE_END}:
            break
        if marker == _JPEG_FILL:
            offset += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            offset += 2
        else:
            yield marker, offset + 4
            (length,) = _fields(file, offset + 2, ">H")
            if marker == _JPEG_SCAN or length < 2:  # noqa: PLR2004 - the length's own two bytes
                break
            offset += 2 + length
    raise PictureFlawError("is a damaged JPEG: its segments do not lead to a picture")


def _jpeg_header(file: BinaryIO) -> PictureHeader:
    for marker, content in _jpeg_segments(file):
        if marker in _JPEG_FRAMES:
            height, width = _fields(file, content + 1, ">HH")
            return PictureHeader(PictureFormat.JPEG, width, height)
    raise AssertionError  # pragma: no cover - the segments end in an error


def _has_one_scan(file: BinaryIO) -> bool:
    """Return whether a decoder would decode one scan only, whatever follows."""
    frame = components = 0
    for marker, content in _jpeg_segments(file):
        if marker in _JPEG_FRAMES:
            frame, (components,) = marker, _fields(file, content + 5, ">B")
        elif marker == _JPEG_SCAN:
            (of_scan,) = _fields(file, content, ">B")
            return frame in _SEQUENTIAL_FRAMES and bool(of_scan == components)
    raise AssertionError  # pragma: no cover - the segments end with a scan or an error


def _jpeg_is_whole(file: BinaryIO, size: int) -> bool:
    scan = next(content for marker, content in _jpeg_segments(file) if marker == _JPEG_SCAN)
    start = max(scan, size - _TAIL_BYTES)
    if _JPEG_END in _bytes_at(file, start, max(0, size - start)):
        return True
    file.seek(0)
    try:
        return with_end(file.read()) is not None
    except ModuleNotFoundError:
        raise PictureFlawError(
            "is a JPEG without an end marker; whether the picture is whole can be checked with "
            "Pillow only: pip install 'photoanimer-async[prepare]'"
        ) from None


def _webp_header(file: BinaryIO) -> PictureHeader:
    match _bytes_at(file, 12, 4):
        case b"VP8 ":
            start_code, width, height = _fields(file, 23, "<3sHH")
            if start_code != b"\x9d\x01\x2a":
                raise PictureFlawError("is a damaged WEBP: it does not begin with a whole picture")
            return PictureHeader(PictureFormat.WEBP, width & 0x3FFF, height & 0x3FFF)
        case b"VP8L":
            (bits,) = _fields(file, 21, "<I")
            return PictureHeader(PictureFormat.WEBP, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            sides = _bytes_at(file, 24, 6)
            width = int.from_bytes(sides[:3], "little") + 1
            return PictureHeader(PictureFormat.WEBP, width, int.from_bytes(sides[3:], "little") + 1)
        case _:
            raise PictureFlawError("is a damaged WEBP: its first chunk is not a picture")


def _bmp_header(file: BinaryIO) -> PictureHeader:
    (header_size,) = _fields(file, 14, "<I")
    layout = "<HH" if header_size == _BMP_CORE_HEADER else "<ii"
    width, height = _fields(file, 18, layout)
    # A negative height means that the rows are stored from the top down.
    return PictureHeader(PictureFormat.BMP, width, abs(height))


def _bmp_length(file: BinaryIO) -> int:
    pixels, header_size = _fields(file, 10, "<II")
    if header_size == _BMP_CORE_HEADER:
        width, height, _, depth = _fields(file, 18, "<4H")
    else:
        width, height, _, depth, compression, stated = _fields(file, 18, "<iiHHII")
        if compression in _BMP_RUN_LENGTHS:
            return int(pixels + stated)
    row = (width * depth + 31) // 32 * 4
    return int(pixels + row * abs(height))

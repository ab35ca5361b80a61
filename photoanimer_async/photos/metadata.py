"""Remove metadata from a picture file without decoding or changing its pixels.

Phones write location, time and device into their photos, and sometimes append a second picture or
a video. `strip_metadata` copies only what a decoder needs:

- JPEG (ITU-T T.81, B.1): tables, frames and scans up to the end marker; of the application segments
  only JFIF without its thumbnail, colour profiles, and Adobe's segment, which names the colour
  coding.
- PNG (PNG specification, 5.3): critical chunks and chunks about colour; of an animation therefore
  the first picture only.
- WEBP (RFC 9649): picture data and the colour profile; the flags that announce Exif and XMP are
  cleared.

BMP files contain no metadata.
"""

import re
import struct
from collections.abc import Iterator

from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureFlawError

_PNG_SIGNATURE_BYTES = 8
_PNG_KEPT = frozenset(
    {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD", b"pHYs"}
)

_JPEG_START, _JPEG_END, _JPEG_SCAN, _JPEG_COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_JPEG_APPLICATIONS = range(0xE0, 0xF0)
_JPEG_KEPT = {0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_JFIF, _JFIF_BYTES = b"JFIF\0", 14
# Within a scan, FF precedes 00 or a restart marker; any other byte after it starts a segment.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")

_WEBP_KEPT = frozenset({b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"})
_WEBP_FLAGS = 0x08 | 0x04  # Exif and XMP


def strip_metadata(picture: bytes, picture_format: PictureFormat) -> bytes:
    """Return the picture file without metadata; equal to the input if there was none.

    Args:
        picture: the whole file.
        picture_format: its format, from `read_header`.

    Raises:
        PictureFlawError: the file is damaged, so its parts cannot be separated.
    """
    match picture_format:
        case PictureFormat.JPEG:
            return b"\xff\xd8" + b"".join(_jpeg_parts(picture))
        case PictureFormat.PNG:
            return picture[:_PNG_SIGNATURE_BYTES] + b"".join(_png_chunks(picture))
        case PictureFormat.WEBP:
            body = b"WEBP" + b"".join(_webp_chunks(picture))
            return b"RIFF" + struct.pack("<I", len(body)) + body
        case PictureFormat.BMP:
            return picture


def _jpeg_parts(picture: bytes) -> Iterator[bytes]:
    """Yield each segment to keep, a scan together with its data, up to the end marker."""
    offset = 2
    while True:
        found = _JPEG_MARKER.match(picture, offset)
        if found is None or found[1][0] == _JPEG_START:
            raise PictureFlawError("is a damaged JPEG: its segments do not lead to its end")
        marker = found[1][0]
        if marker == _JPEG_END:
            yield b"\xff\xd9"
            return
        begin = found.end()
        end = begin + _length(picture, begin)
        if marker == _JPEG_SCAN:
            following = _JPEG_MARKER.search(picture, end)
            end = len(picture) if following is None else following.start()
        content = _jpeg_content(marker, picture[begin + 2 : end])
        if content is not None:
            head = picture[begin : begin + 2]
            if marker == _JPEG_APPLICATIONS[0]:
                head = struct.pack(">H", len(content) + 2)
            yield bytes((0xFF, marker)) + head + content
        offset = end


def _length(picture: bytes, offset: int) -> int:
    length = int.from_bytes(picture[offset : offset + 2], "big")
    if length < 2 or offset + length > len(picture):  # noqa: PLR2004 - the length's own two bytes
        raise PictureFlawError("is a damaged JPEG: a segment is cut off")
    return length


def _jpeg_content(marker: int, content: bytes) -> bytes | None:
    """Return the part of a segment to keep; `None` to drop the segment."""
    if marker == _JPEG_COMMENT:
        return None
    if marker not in _JPEG_APPLICATIONS:
        return content
    if marker == _JPEG_APPLICATIONS[0] and content.startswith(_JFIF):
        # The last two bytes are the width and height of the thumbnail that follows.
        return content[: _JFIF_BYTES - 2] + b"\0\0" if len(content) >= _JFIF_BYTES else None
    kept = _JPEG_KEPT.get(marker)
    return content if kept is not None and content.startswith(kept) else None


def _png_chunks(picture: bytes) -> Iterator[bytes]:
    offset = _PNG_SIGNATURE_BYTES
    while True:
        kind = picture[offset + 4 : offset + 8]
        size = 12 + int.from_bytes(picture[offset : offset + 4], "big")
        if len(kind) < 4 or offset + size > len(picture):  # noqa: PLR2004 - a chunk's name
            raise PictureFlawError("is a damaged PNG: a chunk is cut off")
        if kind[:1].isupper() or kind in _PNG_KEPT:
            yield picture[offset : offset + size]
        if kind == b"IEND":
            return
        offset += size


def _webp_chunks(picture: bytes) -> Iterator[bytes]:
    end = 8 + int.from_bytes(picture[4:8], "little")
    offset = 12
    while offset < end:
        kind = picture[offset : offset + 4]
        size = int.from_bytes(picture[offset + 4 : offset + 8], "little")
        following = offset + 8 + size + size % 2
        if offset + 8 + size > min(end, len(picture)):
            raise PictureFlawError("is a damaged WEBP: a chunk is cut off")
        chunk = bytearray(picture[offset:following].ljust(following - offset, b"\0"))
        if kind == b"VP8X" and size:
            chunk[8] &= ~_WEBP_FLAGS
        if kind in _WEBP_KEPT:
            yield bytes(chunk)
        offset = following

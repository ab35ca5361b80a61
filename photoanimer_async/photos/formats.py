"""Detect what a file is from its content; file names are ignored.

A format is detected from the first bytes. Some readers search for their start further on (PDF) or
from the end (ZIP), so one file can be valid as two kinds (a polyglot): `second_kind` finds the
other one.
"""

from enum import StrEnum
from typing import BinaryIO

_HEAD_BYTES = 1024
_TAIL_BYTES = 1024

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_PDF_START = b"%PDF-"
_ZIP_END = b"PK\x05\x06"
_OTHER_CONTENT = (
    (b"GIF8", "a GIF"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
)


class PictureFormat(StrEnum):
    """The formats that the service accepts (API page, Frequently asked questions)."""

    PNG = "png"
    JPEG = "jpeg"
    BMP = "bmp"
    WEBP = "webp"

    @property
    def content_type(self) -> str:
        """The MIME type, such as `image/png`."""
        return f"image/{self.value}"

    @property
    def suffix(self) -> str:
        """The file suffix with its dot, such as `.jpg`."""
        return ".jpg" if self is PictureFormat.JPEG else f".{self.value}"


class SourceFormat(StrEnum):
    """Formats of photos that the service does not accept and that preparation converts."""

    TIFF = "TIFF"
    HEIC = "HEIC"
    AVIF = "AVIF"


def detect_format(file: BinaryIO) -> PictureFormat | SourceFormat | None:
    """Return the format of a seekable file; `None` if it is not a photo."""
    head = _head(file)
    if head.startswith(_PNG_SIGNATURE):
        return PictureFormat.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return PictureFormat.JPEG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return PictureFormat.WEBP
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return PictureFormat.BMP
    return SourceFormat.TIFF if head.startswith(_TIFF_STARTS) else _iso_format(head)


def describe_content(file: BinaryIO) -> str:
    """Return what a file is in a few words for an error: `a JPEG`, `an AVIF`, `text`."""
    kind = detect_format(file)
    if kind is None:
        head = _head(file)
        return _other_content(head) if head else "empty"
    return f"a{'n' * (kind is SourceFormat.AVIF)} {kind.name}"


def second_kind(file: BinaryIO, size: int) -> str | None:
    """Return `a PDF` or `a ZIP archive` if a picture file is valid as one too, else `None`.

    Args:
        file: the whole file; seekable.
        size: its length in bytes.
    """
    if _PDF_START in _head(file):
        return "a PDF"
    file.seek(max(0, size - _TAIL_BYTES))
    return "a ZIP archive" if _ZIP_END in file.read(_TAIL_BYTES) else None


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_HEAD_BYTES)


def _iso_format(head: bytes) -> SourceFormat | None:
    """Detect HEIC and AVIF by the brands in the `ftyp` box (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return None
    box = head[8 : int.from_bytes(head[:4], "big")]
    brands = {box[at : at + 4] for at in range(0, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return SourceFormat.AVIF
    return SourceFormat.HEIC if brands & _HEIF_BRANDS else None


def _other_content(head: bytes) -> str:
    """Return what a file is that is not a photo."""
    for start, name in _OTHER_CONTENT:
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "a video or another ISO media file"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith(b"<svg"):
        return "an SVG"
    if text.isascii() and b"\0" not in text:
        return "text"
    return f"of an unknown kind (it begins with {head[:4].hex(' ')})"

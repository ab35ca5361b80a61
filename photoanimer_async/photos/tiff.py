"""Find the photo in a TIFF file, which may hold many pictures (TIFF 6.0, section 2; BigTIFF).

Many files begin with a thumbnail. The photo is the largest of the pictures in the chain and below
it (`SubIFDs`). Camera raw files are TIFF as well; they hold a sensor's measurements, and previews.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from attrs import frozen

from photoanimer_async.photos.header import PictureFlawError

_MAX_PICTURES = 200
_MAX_ENTRIES = 1000
_MAX_VALUES = 32
_END = 2**40  # behind the end of every file, and a place that can be sought

_WIDTH, _HEIGHT, _KIND, _PHOTOMETRIC = 256, 257, 254, 262
_SUB_IFDS, _DNG_VERSION = 330, 50_706
_READ_TAGS = frozenset({_WIDTH, _HEIGHT, _KIND, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION})
_MASK_BIT, _MASK_PHOTOMETRIC = 4, 4
_SENSOR_PHOTOMETRICS = frozenset({32_803, 34_892})  # colour filter array, linear raw
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # layouts by the type of an entry


@frozen
class _Layout:
    """How a TIFF file stores its numbers.

    Attributes:
        order: `<` or `>`.
        is_big: whether offsets have 8 bytes (BigTIFF).
    """

    order: str
    is_big: bool

    @property
    def offset(self) -> str:
        return f"{self.order}{'Q' if self.is_big else 'I'}"

    @property
    def first_at(self) -> int:
        """The place of the offset of the first picture."""
        return 8 if self.is_big else 4


@frozen
class _Picture:
    """One picture: where its directory is, and its tags."""

    directory: int
    tags: dict[int, tuple[int, ...]]

    def number(self, tag: int) -> int:
        """Return a tag's value; 0 if it is missing."""
        return next(iter(self.tags.get(tag, ())), 0)

    @property
    def pixels(self) -> int:
        return self.number(_WIDTH) * self.number(_HEIGHT)

    @property
    def is_mask(self) -> bool:
        is_mask = self.number(_KIND) & _MASK_BIT
        return bool(is_mask) or self.number(_PHOTOMETRIC) == _MASK_PHOTOMETRIC

    @property
    def is_raw(self) -> bool:
        return self.number(_PHOTOMETRIC) in _SENSOR_PHOTOMETRICS or _DNG_VERSION in self.tags


def with_largest_first(file: BinaryIO) -> BinaryIO:
    """Return a TIFF file whose first picture is the largest of the file's pictures.

    Args:
        file: the whole file; seekable.

    Returns:
        The file itself if its first picture is the largest, else a copy in memory.

    Raises:
        PictureFlawError: the file comes from a camera's sensor (DNG, NEF, CR2, ARW), or is
            damaged.
    """
    try:
        layout, first = _read_start(file)
        pictures = list(_pictures(file, layout, first))
    except struct.error:
        raise PictureFlawError("is a damaged TIFF: a directory is cut off") from None
    if _is_canon_raw(file) or any(picture.is_raw for picture in pictures):
        raise PictureFlawError(
            "is a camera raw file, which has to be developed first: export it as JPEG"
        )
    photos = [picture for picture in pictures if not picture.is_mask] or pictures
    largest = max(photos, key=lambda picture: picture.pixels, default=None)
    if largest is None or largest.directory == first:
        return file
    file.seek(0)
    content = bytearray(file.read())
    struct.pack_into(layout.offset, content, layout.first_at, largest.directory)
    return BytesIO(content)


def _read_start(file: BinaryIO) -> tuple[_Layout, int]:
    file.seek(0)
    start = file.read(16)
    order = "<" if start.startswith(b"II") else ">"
    (version,) = struct.unpack_from(f"{order}H", start, 2)
    layout = _Layout(order, is_big=version == 43)  # noqa: PLR2004 - BigTIFF's number
    (first,) = struct.unpack_from(layout.offset, start, layout.first_at)
    return layout, first


def _is_canon_raw(file: BinaryIO) -> bool:
    file.seek(8)
    return file.read(2) == b"CR"


def _pictures(file: BinaryIO, layout: _Layout, first: int) -> Iterator[_Picture]:
    """Yield the pictures of the chain, each followed by those below it."""
    waiting, seen = [first], set[int]()
    while waiting and len(seen) < _MAX_PICTURES:
        directory = waiting.pop(0)
        if not directory or directory in seen:
            continue
        seen.add(directory)
        tags, following = _read_directory(file, layout, directory)
        yield _Picture(directory, tags)
        waiting = [*tags.get(_SUB_IFDS, ()), following, *waiting]


def _read_directory(
    file: BinaryIO, layout: _Layout, directory: int
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Return the tags of a directory, and the offset of the next one."""
    count_layout = f"{layout.order}{'Q' if layout.is_big else 'H'}"
    file.seek(min(directory, _END))
    (count,) = struct.unpack(count_layout, file.read(struct.calcsize(count_layout)))
    if count > _MAX_ENTRIES:
        raise PictureFlawError("is a damaged TIFF: a directory has too many entries")
    entry = f"{layout.order}HHQ8s" if layout.is_big else f"{layout.order}HHI4s"
    size = struct.calcsize(entry)
    entries = file.read(count * size)
    (following,) = struct.unpack(layout.offset, file.read(struct.calcsize(layout.offset)))
    tags = {}
    for tag, kind, values, inline in struct.iter_unpack(entry, entries):
        if tag in _READ_TAGS and kind in _NUMBERS:
            tags[tag] = _values(file, layout, kind, min(values, _MAX_VALUES), inline)
    return tags, following


def _values(
    file: BinaryIO, layout: _Layout, kind: int, count: int, inline: bytes
) -> tuple[int, ...]:
    values = f"{layout.order}{count}{_NUMBERS[kind]}"
    size = struct.calcsize(values)
    if size > len(inline):
        (offset,) = struct.unpack(layout.offset, inline)
        file.seek(min(offset, _END))
        inline = file.read(size)
    return struct.unpack_from(values, inline)

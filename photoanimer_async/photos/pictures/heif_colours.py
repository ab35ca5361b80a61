"""Read the colour numbers of HEIC and AVIF files, which no image library reports for both.

The `colr` box of type `nclx` is a property of an item (ISO/IEC 14496-12, 8.11; 12.1.5). A file has
many items: tiles, thumbnails, gain maps; those of the primary item count.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_MAX_META_BYTES = 1_048_576
_MAX_BOXES = 1000


def read_nclx(file: BinaryIO) -> tuple[int, int] | None:
    """Return the numbers of the primaries and of the transfer curve (ITU-T H.273).

    Args:
        file: the whole file; seekable.

    Returns:
        `None` if the primary item states none.
    """
    try:
        meta = _meta(file)
        return None if meta is None else _primary_colours(meta)
    except (struct.error, IndexError, KeyError, OverflowError, OSError):
        return None  # damaged: OverflowError and OSError come from impossible offsets


def _meta(file: BinaryIO) -> bytes | None:
    offset = 0
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8:  # noqa: PLR2004 - size and name
            return None
        size, kind = struct.unpack_from(">I4s", head)
        start = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
            start = 16
        if kind == b"meta":
            file.seek(offset + start)
            return file.read(min(size, _MAX_META_BYTES))
        if size < start:
            return None
        offset += size
    return None


def _primary_colours(meta: bytes) -> tuple[int, int] | None:
    boxes = dict(_boxes(meta[4:]))
    primary = boxes[b"pitm"]
    item = int.from_bytes(primary[4:6] if primary[0] == 0 else primary[4:8], "big")
    properties = list(_boxes(boxes[b"iprp"]))
    known = list(_boxes(dict(properties)[b"ipco"]))
    for kind, associations in properties:
        if kind == b"ipma":
            for index in _property_indexes(associations, item):
                name, content = known[index - 1]
                if name == b"colr" and content[:4] == b"nclx":
                    primaries, transfer = struct.unpack_from(">HH", content, 4)
                    return primaries, transfer
    return None


def _property_indexes(ipma: bytes, item: int) -> Iterator[int]:
    """Yield the numbers of an item's properties, from 1 (ISO/IEC 23008-12, 9.3.1)."""
    id_bytes = 2 if ipma[0] == 0 else 4
    index_bytes = 2 if ipma[3] & 1 else 1
    (items,) = struct.unpack_from(">I", ipma, 4)
    offset = 8
    for _ in range(min(items, _MAX_META_BYTES)):
        found = int.from_bytes(ipma[offset : offset + id_bytes], "big")
        count = ipma[offset + id_bytes]
        offset += id_bytes + 1
        indexes = ipma[offset : offset + count * index_bytes]
        offset += count * index_bytes
        if found == item:
            for at in range(0, len(indexes), index_bytes):
                index = int.from_bytes(indexes[at : at + index_bytes], "big")
                yield index & (0x7FFF if index_bytes == 2 else 0x7F)  # noqa: PLR2004 - two bytes


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    while offset + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, offset)
        end = offset + size if size else len(content)
        if end < offset + 8:
            return
        yield kind, content[offset + 8 : end]
        offset = end

"""Files as lists of chunks, and back, with lengths and checksums put right.

A byte that is changed in the middle of a file is mostly caught by a checksum or leads a reader
off the next chunk, and what is behind that is never reached. So a file is taken apart, its
chunks are mutated, and what comes of them is put together as a careful writer would have.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from attrs import frozen


@frozen
class Chunk:
    """A piece of a file.

    Attributes:
        head: what its kind is told by, as it stands in the file.
        body: what may be mutated.
        inner: the chunks that the body consists of, where it does.
    """

    head: bytes
    body: bytes = b""
    inner: tuple["Chunk", ...] = ()


Chunks: TypeAlias = list[Chunk]

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHECKSUM = 4
_JPEG_ALONE = frozenset({0xD8, 0xD9, 0x01, *range(0xD0, 0xD8)})
_JPEG_SCAN = 0xDA
_BMP_HEADER = 54
_ISO_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"dinf", b"edts"})
_OGG_HEADER = 27
_OGG_POLYNOMIAL = 0x04C11DB7


def taken_apart(file: bytes) -> Chunks:
    """A well-formed file's chunks; one for all of it, where its kind has none."""
    return _layout(file)[0](file)


def put_together(chunks: Sequence[Chunk], like: bytes) -> bytes:
    """A file of the kind of another, of chunks."""
    return _layout(like)[1](chunks)


def _layout(file: bytes) -> tuple[Callable[[bytes], Chunks], Callable[[Sequence[Chunk]], bytes]]:
    for start, layout in (
        (_PNG, (_from_png, _to_png)),
        (b"\xff\xd8", (_from_jpeg, _joined)),
        (b"RIFF", (_from_riff, _to_riff)),
        (b"FORM", (_from_form, _to_form)),
        (b"BM", (_from_bmp, _joined)),
        (b"OggS", (_from_ogg, _to_ogg)),
        (b"fLaC", (_from_flac, _to_flac)),
    ):
        if file.startswith(start):
            return layout
    return (_from_iso, _to_iso) if file[4:8] == b"ftyp" else (_from_bytes, _joined)


def _from_bytes(file: bytes) -> Chunks:
    return [Chunk(b"", file)]


def _joined(chunks: Sequence[Chunk]) -> bytes:
    return b"".join(chunk.head + chunk.body for chunk in chunks)


def _from_png(file: bytes) -> Chunks:
    chunks, offset = [], len(_PNG)
    while offset < len(file):
        (length,) = struct.unpack_from(">I", file, offset)
        body = file[offset + 8 : offset + 8 + length]
        chunks.append(Chunk(file[offset + 4 : offset + 8], body))
        offset += 8 + length + _PNG_CHECKSUM
    return _unpacked(chunks)


def _unpacked(chunks: Chunks) -> Chunks:
    """With one chunk of pixels, as they are before they are packed."""
    pixels = b"".join(chunk.body for chunk in chunks if chunk.head == b"IDAT")
    at = [chunk.head for chunk in chunks].index(b"IDAT")
    others = [chunk for chunk in chunks if chunk.head != b"IDAT"]
    return [*others[:at], Chunk(b"IDAT", zlib.decompress(pixels)), *others[at:]]


def _to_png(chunks: Sequence[Chunk]) -> bytes:
    file = _PNG
    for chunk in chunks:
        body = zlib.compress(chunk.body, 1) if chunk.head == b"IDAT" else chunk.body
        checksum = zlib.crc32(chunk.head + body)
        file += struct.pack(">I", len(body)) + chunk.head + body + struct.pack(">I", checksum)
    return file


def _from_jpeg(file: bytes) -> Chunks:
    """Lengths stand in the segments' bodies, where they can be mutated too."""
    chunks, offset = [], 0
    while offset < len(file):
        marker, end = file[offset + 1], offset + 2
        if marker not in _JPEG_ALONE:
            end += struct.unpack_from(">H", file, end)[0]
        if marker == _JPEG_SCAN:
            while file[end] != 0xFF or file[end + 1] in {0, *range(0xD0, 0xD8)}:
                end += 1
        chunks.append(Chunk(file[offset : offset + 2], file[offset + 2 : end]))
        offset = end
    return chunks


def _from_iff(file: bytes, number: str) -> Chunks:
    chunks, offset = [Chunk(file[8:12])], 12
    while offset < len(file):
        (length,) = struct.unpack_from(number, file, offset + 4)
        body = file[offset + 8 : offset + 8 + length]
        chunks.append(Chunk(file[offset : offset + 4], body))
        offset += 8 + length + length % 2
    return chunks


def _to_iff(name: bytes, chunks: Sequence[Chunk], number: str) -> bytes:
    file = b""
    for at, chunk in enumerate(chunks):
        if at:
            length = struct.pack(number, len(chunk.body))
            file += chunk.head + length + chunk.body + b"\0" * (len(chunk.body) % 2)
        else:
            file += chunk.head + chunk.body
    return name + struct.pack(number, len(file)) + file


def _from_riff(file: bytes) -> Chunks:
    return _from_iff(file, "<I")


def _to_riff(chunks: Sequence[Chunk]) -> bytes:
    return _to_iff(b"RIFF", chunks, "<I")


def _from_form(file: bytes) -> Chunks:
    return _from_iff(file, ">I")


def _to_form(chunks: Sequence[Chunk]) -> bytes:
    return _to_iff(b"FORM", chunks, ">I")


def _from_bmp(file: bytes) -> Chunks:
    (pixels,) = struct.unpack_from("<I", file, 10)
    return [
        Chunk(b"BM", file[2:_BMP_HEADER]),
        Chunk(b"", file[_BMP_HEADER:pixels]),
        Chunk(b"", file[pixels:]),
    ]


def _from_ogg(file: bytes) -> Chunks:
    """Pages, with their tables of packet lengths."""
    chunks, offset = [], 0
    while offset < len(file):
        packets = file[offset + _OGG_HEADER - 1]
        start = offset + _OGG_HEADER + packets
        end = start + sum(file[offset + _OGG_HEADER : start])
        chunks.append(Chunk(file[offset:start], file[start:end]))
        offset = end
    return chunks


def _to_ogg(chunks: Sequence[Chunk]) -> bytes:
    file = b""
    for chunk in chunks:
        page = chunk.head[:22] + bytes(4) + chunk.head[26:] + chunk.body
        file += page[:22] + struct.pack("<I", _ogg_checksum(page)) + page[26:]
    return file


def _ogg_table() -> Iterator[int]:
    for number in range(256):
        value = number << 24
        for _ in range(8):
            value = (value << 1 & 0xFFFF_FFFF) ^ (_OGG_POLYNOMIAL if value >> 31 else 0)
        yield value


_OGG_TABLE = tuple(_ogg_table())


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFF_FFFF) ^ _OGG_TABLE[value >> 24 ^ byte]
    return value


def _from_flac(file: bytes) -> Chunks:
    chunks, offset, last = [], 4, False
    while not last:
        last = bool(file[offset] & 0x80)
        length = int.from_bytes(file[offset + 1 : offset + 4])
        body = file[offset + 4 : offset + 4 + length]
        chunks.append(Chunk(file[offset : offset + 1], body))
        offset += 4 + length
    return [*chunks, Chunk(b"", file[offset:])]


def _to_flac(chunks: Sequence[Chunk]) -> bytes:
    return b"fLaC" + b"".join(
        chunk.head + (len(chunk.body).to_bytes(3) if chunk.head else b"") + chunk.body
        for chunk in chunks
    )


def _from_iso(file: bytes) -> Chunks:
    chunks, offset = [], 0
    while offset < len(file):
        (length,) = struct.unpack_from(">I", file, offset)
        name, body = file[offset + 4 : offset + 8], file[offset + 8 : offset + length]
        inner = tuple(_from_iso(body)) if name in _ISO_PARENTS else ()
        chunks.append(Chunk(name, b"" if inner else body, inner))
        offset += length
    return chunks


def _to_iso(chunks: Sequence[Chunk]) -> bytes:
    file = b""
    for chunk in chunks:
        body = chunk.body + _to_iso(chunk.inner)
        file += struct.pack(">I", 8 + len(body)) + chunk.head + body
    return file

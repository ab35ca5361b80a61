"""Files that are almost right: the same number always gives the same one."""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

from attrs import evolve

from .containers import Chunk, put_together, taken_apart

_TELLING_NUMBERS: Final = (0, 1, 2, 3, 4, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x1001)
_LARGE_NUMBERS: Final = (0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
_MOST_CHANGES: Final = 4
_MOST_COPIES: Final = 300
_LONGEST: Final = 400_000
_SPOILT_TOO: Final = 0.2


def mutated(seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """The file of a number.

    Mostly its chunks are mutated and put together again; sometimes its bytes are as well, so
    that lengths and checksums are wrong too.

    Args:
        seeds: whole files.
        seed: of all choices.
        number: of the file.
    """
    rng = random.Random(f"{seed}/{number}")
    origin = rng.choice(seeds)
    chunks = taken_apart(origin)
    for _ in range(rng.randint(1, _MOST_CHANGES)):
        chunks = _with_a_change(chunks, rng)
    file = put_together(chunks, like=origin)
    if rng.random() < _SPOILT_TOO:
        file = _changed_bytes(file, rng)
    return file[:_LONGEST]


def _with_a_change(chunks: Sequence[Chunk], rng: random.Random) -> list[Chunk]:
    if not chunks:
        return []
    at, other = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    chunk = chunks[at]
    change = rng.random()
    if change < 0.8:
        instead = [_changed_chunk(chunk, rng)]
    elif change < 0.86:
        instead = []
    elif change < 0.93:
        instead = [chunk] * rng.choice((2, 3, _MOST_COPIES))
    else:
        instead = [chunks[other]]
    return [*chunks[:at], *instead, *chunks[at + 1 :]]


def _changed_chunk(chunk: Chunk, rng: random.Random) -> Chunk:
    if chunk.inner and rng.random() < 0.9:
        return evolve(chunk, inner=tuple(_with_a_change(chunk.inner, rng)))
    if chunk.head and rng.random() < 0.07:
        return evolve(chunk, head=_changed_bytes(chunk.head, rng))
    return evolve(chunk, body=_changed_bytes(chunk.body, rng))


def _changed_bytes(data: bytes, rng: random.Random) -> bytes:
    change = rng.choice(_CHANGES)
    at = _position(len(data), rng)
    return change(data, at, rng)


def _position(length: int, rng: random.Random) -> int:
    """Anywhere; half of the time near the beginning, where headers are."""
    reach = min(length, 64) if rng.random() < 0.5 else length
    return rng.randrange(reach) if reach else 0


def _flip(data: bytes, at: int, rng: random.Random) -> bytes:
    if not data:
        return data
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _overwrite_byte(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _overwrite_number(data: bytes, at: int, rng: random.Random) -> bytes:
    layout = rng.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(layout)
    number = rng.choice(_TELLING_NUMBERS + _LARGE_NUMBERS) & (1 << 8 * size) - 1
    at -= at % size  # fields mostly stand where their size divides
    return data[:at] + struct.pack(layout, number) + data[at + size :]


def _cut_off(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at]


def _cut_out(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 256)) :]


def _repeat(data: bytes, at: int, rng: random.Random) -> bytes:
    piece = data[at : at + rng.choice((1, 2, 4, 16, 256))]
    return data[:at] + piece * rng.choice((2, 3, 50)) + data[at + len(piece) :]


def _insert(data: bytes, at: int, rng: random.Random) -> bytes:
    return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 16, 256))) + data[at:]


def _fill(data: bytes, at: int, rng: random.Random) -> bytes:
    length = min(rng.choice((4, 16, 256, 4096)), len(data) - at)
    return data[:at] + bytes([rng.choice((0, 0xFF, 0x80))]) * length + data[at + length :]


def _scramble(data: bytes, at: int, rng: random.Random) -> bytes:
    length = min(rng.choice((4, 16, 256)), len(data) - at)
    return data[:at] + rng.randbytes(length) + data[at + length :]


_CHANGES: Final[tuple[Callable[[bytes, int, random.Random], bytes], ...]] = (
    _flip,
    _flip,
    _overwrite_byte,
    _overwrite_number,
    _overwrite_number,
    _cut_off,
    _cut_out,
    _repeat,
    _insert,
    _fill,
    _scramble,
)

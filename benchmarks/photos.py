"""Cost of checking and preparing the photos of a large batch.

Run it on a machine that does nothing else::

    python benchmarks/photos.py [--photos 10000] [--prepared 8] [--quick]

Checking: files of 3 MB are made in each format that the service accepts, sparse where their bytes
do not matter, and laid out as phones do it: tens of KiB of Exif and colour profile in front, a
video behind some. Each is checked by `check_photo`, as before every submit, a hundred at a time
on one event loop. Bytes read are what Linux counts for the process (`rchar` in /proc/self/io):
the mean of all photos, and in a second pass the most that one photo took. The benchmark fails if
that is 64 KiB or more.

Preparing: photos of 12 megapixels that each need one conversion of `prepare=True`. Time is the
median for one photo; memory is the growth of the peak of a process that does nothing else.
"""

import argparse
import asyncio
import io
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from machine import described, peak_memory, table
from PIL import Image

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.photos.check import check_photo, inspect_photo
from photoanimer_async.photos.preparation import prepare_content

PHOTO_BYTES = 3_000_000
MOST_BYTES = 64 * 1024
AT_ONCE = 100
KIB = 1024
SIDES = (4000, 3000)


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def jpeg(before: bytes = b"") -> tuple[bytes, bytes]:
    """Return head and end of a JPEG."""
    frame = struct.pack(">BHHB", 8, *reversed(SIDES), 1) + b"\x01\x11\x00"
    parts = (segment(0xE0, b"JFIF\0" + bytes(9)), before, segment(0xC0, frame), segment(0xDA, b""))
    return b"\xff\xd8" + b"".join(parts), b"\xff\xd9"


def phone_jpeg() -> tuple[bytes, bytes]:
    """Return a JPEG with Exif, a profile in many parts, and the end of a video behind it."""
    exif = segment(0xE1, b"Exif\0\0" + bytes(60_000))
    profile = b"".join(segment(0xE2, bytes(65_000)) for _ in range(8))
    head, end = jpeg(exif + profile)
    return head, end + b"\0\0\0\x18ftypmp42" + os.urandom(150_000)


def png() -> tuple[bytes, bytes]:
    """Return head and end of a PNG."""
    header = struct.pack(">IIBBBBB", *SIDES, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header), chunk(b"IEND", b"")


def webp() -> tuple[bytes, bytes]:
    """Return the head of a WEBP, which states its length."""
    picture = b"\x30\x01\0\x9d\x01\x2a" + struct.pack("<HH", *SIDES)
    riff = b"RIFF" + struct.pack("<I", PHOTO_BYTES - 8) + b"WEBP"
    return riff + b"VP8 " + struct.pack("<I", PHOTO_BYTES - 20) + picture, b""


def bmp() -> tuple[bytes, bytes]:
    """Return the head of a BMP; its length follows from its sides."""
    head = b"BM" + struct.pack("<IHHI", PHOTO_BYTES, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, 1100, 900, 1, 24, *[0] * 6), b""


LAYOUTS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "JPEG": jpeg,
    "JPEG of a phone": phone_jpeg,
    "PNG": png,
    "WEBP": webp,
    "BMP": bmp,
}


@contextmanager
def album(count: int) -> Iterator[list[tuple[str, Path]]]:
    """Give so many photos on disk, each with the name of its layout."""
    made = {name: make() for name, make in LAYOUTS.items()}
    with tempfile.TemporaryDirectory() as folder:
        photos = []
        for number, name in enumerate(islice(cycle(made), count)):
            path = Path(folder) / f"{number}.jpg"
            head, end = made[name]
            with path.open("wb") as file:
                file.write(head)
                file.seek(PHOTO_BYTES - len(end))
                file.write(end)
                file.truncate(PHOTO_BYTES)
            photos.append((name, path))
        yield photos


def bytes_read() -> int:
    """Return the bytes that this process has read from files so far."""
    counters = Path("/proc/self/io")
    if not counters.exists():
        sys.exit("there is no /proc/self/io: only Linux counts what a process reads")
    return int(counters.read_text().splitlines()[0].removeprefix("rchar: "))


# What reading the counter itself adds.
COUNTING = -(bytes_read() - bytes_read())


async def check_all(photos: list[tuple[str, Path]]) -> float:
    """Check all photos; return the seconds that it took."""
    begun = time.monotonic()
    slots = asyncio.Semaphore(AT_ONCE)

    async def check(path: Path) -> None:
        async with slots:
            assert await check_photo(path) is not None

    async with asyncio.TaskGroup() as checks:
        for _, path in photos:
            checks.create_task(check(path))
    return time.monotonic() - begun


def most_read(photos: list[tuple[str, Path]]) -> dict[str, list[int]]:
    """Return the most bytes read for one photo, by layout."""
    found: dict[str, list[int]] = {name: [] for name in LAYOUTS}
    for name, path in photos:
        before = bytes_read()
        inspect_photo(path)
        found[name].append(bytes_read() - before - COUNTING)
    return found


def checking(count: int) -> None:
    """Print what checking takes, and fail if it is too much."""
    with album(count) as photos:
        before = bytes_read()
        seconds = asyncio.run(check_all(photos))
        over_all = bytes_read() - before - COUNTING
        found = most_read(photos)
    rows = [
        [name, f"{len(read)}", f"{statistics.median(read) / KIB:.1f}", f"{max(read) / KIB:.1f}"]
        for name, read in found.items()
        if read
    ]
    everything = [read for reads in found.values() for read in reads]
    mean = over_all / count
    rows.append(["all", f"{count}", f"{mean / KIB:.1f} (mean)", f"{max(everything) / KIB:.1f}"])
    print(table([f"photos of {PHOTO_BYTES / 1e6:g} MB", "checked", "KiB read", "most"], rows))
    print(f"{seconds:.1f} s, {count / seconds:.0f} photos a second")
    assert max(everything) < MOST_BYTES
    assert mean < MOST_BYTES


def shot(kind: str, **options: object) -> bytes:
    """Return a photo of 12 megapixels."""
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        large = image.resize(SIDES)
    file = io.BytesIO()
    large.save(file, kind, **options)
    return file.getvalue()


def needs() -> dict[str, bytes]:
    """Return photos that each need one conversion."""
    exif = Image.Exif()
    exif[0x0110] = "a phone"
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "nothing (JPEG)": shot("JPEG", quality=90),
        "no metadata (JPEG)": shot("JPEG", quality=90, exif=exif),
        "to be turned (JPEG)": shot("JPEG", quality=90, exif=turned),
        "another format (AVIF)": shot("AVIF", speed=9),
        "another format (TIFF)": shot("TIFF", compression="tiff_lzw"),
    }


def prepare_repeatedly(path: Path, repeats: int) -> dict[str, float]:
    """Return what it costs this process to prepare one photo."""
    seconds = []
    prepare_content(ASTRONAUT.read_bytes())  # what is loaded once is not the photo's cost
    memory, size = peak_memory(), path.stat().st_size
    for _ in range(repeats):
        begun = time.perf_counter()
        size = len(prepare_content(path) or path.read_bytes())
        seconds.append(time.perf_counter() - begun)
    return {
        "seconds": statistics.median(seconds),
        "memory": peak_memory() - memory,
        "size": size,
    }


def preparing(repeats: int) -> None:
    """Print what preparing takes, each kind of photo in a process of its own."""
    rows = []
    for need, photo in needs().items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "photo.jpg"
            path.write_bytes(photo)
            done = subprocess.run(  # noqa: S603 - this very file
                [sys.executable, __file__, "--child", str(path), "--prepared", str(repeats)],
                capture_output=True,
                text=True,
                check=True,
            )
        found = json.loads(done.stdout)
        rows.append(
            [
                need,
                f"{len(photo) / 2**20:.1f}",
                f"{found['size'] / 2**20:.1f}",
                f"{found['seconds'] * 1000:.0f}",
                f"{found['memory'] / 2**20:.0f}",
            ]
        )
    print(table(["needs", "MB before", "MB after", "ms", "peak +MiB"], rows))


def main() -> None:
    """Run the chosen measurements and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--prepared", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="500 photos, one prepared of a kind")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(prepare_repeatedly(chosen.child, chosen.prepared)))
        return
    print(described("pillow"))
    checking(500 if chosen.quick else chosen.photos)
    preparing(1 if chosen.quick else chosen.prepared)


if __name__ == "__main__":
    main()

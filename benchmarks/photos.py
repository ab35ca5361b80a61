"""Cost of checking and preparing the photos of a large batch.

Run it on a machine that does nothing else::

    python benchmarks/photos.py [--photos 2000] [--prepared 5] [--quick]

Checking: files of 3 MB are made in each format that the service accepts, sparse where their bytes
do not matter, and laid out as phones do it, with tens of KiB of Exif and colour profile in front.
Each is checked by `check_photo`, as before every submit, a hundred at a time on one event loop. In
a second pass they are checked one by one. Bytes read are what Linux counts for the process
(`rchar` in /proc/self/io). The benchmark fails if a photo takes 64 KiB or more; only a JPEG with a
video behind it is read as a whole, and is decoded to find where it ends.

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

from machine import figures, peak_memory, table
from PIL import Image

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.photos.check import check_photo, inspect_photo
from photoanimer_async.photos.preparation import prepare_content

PHOTO_BYTES = 3_000_000
MOST_BYTES = 64 * 1024
AT_ONCE = 100
READ_WHOLE = "JPEG, a video behind it"
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
    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0")
    parts = (segment(0xE0, b"JFIF\0" + bytes(9)), before, segment(0xC0, frame), scan)
    return b"\xff\xd8" + b"".join(parts), b"\xff\xd9"


def phone_jpeg() -> tuple[bytes, bytes]:
    """Return head and end of a JPEG with Exif and a profile in many parts."""
    exif = segment(0xE1, b"Exif\0\0" + bytes(60_000))
    profile = b"".join(segment(0xE2, bytes(65_000)) for _ in range(8))
    return jpeg(exif + profile)


def moving_jpeg() -> tuple[bytes, bytes]:
    """Return a JPEG, and the end of a video behind it."""
    return shot("JPEG", quality=80) + b"\0\0\0\x18ftypmp42", os.urandom(150_000)


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
    READ_WHOLE: moving_jpeg,
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


def checked_singly(photos: list[tuple[str, Path]]) -> dict[str, list[tuple[int, float]]]:
    """Return the bytes read and the CPU seconds for each photo, by layout."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in LAYOUTS}
    for name, path in photos:
        before, began = bytes_read(), time.process_time()
        inspect_photo(path)
        spent = time.process_time() - began
        found[name].append((bytes_read() - before - COUNTING, spent))
    return found


def checking(count: int) -> None:
    """Print what checking takes, and fail if it is too much."""
    with album(count) as photos:
        quick = [photo for photo in photos if photo[0] != READ_WHOLE]
        rate = len(quick) / asyncio.run(check_all(quick))
        found = checked_singly(photos)
    rows = []
    for name, costs in found.items():
        read, spent = zip(*costs, strict=True)
        rows.append(
            [name, f"{max(read) / KIB:,.1f}", f"{1000 * statistics.median(spent):,.2f}"],
        )
        assert max(read) < MOST_BYTES or name == READ_WHOLE
    figures(
        "photos-check",
        f"{count:,} photos of {PHOTO_BYTES / 1e6:g} MB; all but the last kind together: "
        f"{rate:,.0f} a second.",
        table(["format", "KiB read, at most", "CPU ms, median"], rows),
        packages=["pillow"],
    )


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
    figures(
        "photos-prepare",
        f"Photos of {SIDES[0]}x{SIDES[1]} pixels:",
        table(["needs", "MB before", "MB after", "ms", "peak memory, MiB more"], rows),
        packages=["pillow"],
    )


def main() -> None:
    """Run the chosen measurements and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--prepared", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="100 photos, one prepared of a kind")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(prepare_repeatedly(chosen.child, chosen.prepared)))
        return
    checking(100 if chosen.quick else chosen.photos)
    preparing(1 if chosen.quick else chosen.prepared)


if __name__ == "__main__":
    main()

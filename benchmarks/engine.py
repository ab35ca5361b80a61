"""Cost of the engine, beside a lower bound for engines of its kind.

Run it on a Linux machine that does nothing else::

    python benchmarks/engine.py [--repeats 3] [--quick]

Times are core-seconds (CPU time of the process and its threads), medians of several repeats.
Ratios are measured side by side, so they carry over to other machines better than times do.

- **floor**: for each frame, one cubic `cv2.remap` and one x264 encode with preset superfast, of
  the same size.
- **triangles**: the usual way to warp a face: for each triangle of the mesh, which is pinned to
  the photo's borders, an affine warp and a blend.
- **stages**: preparing, warping and encoding, each by itself.
"""

import argparse
import io
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
from attrs import frozen
from machine import Goal, figures, table
from numpy.typing import NDArray
from PIL import Image

from photoanimer_async.engine import animate
from photoanimer_async.engine.expressions import motion
from photoanimer_async.engine.face import Face, FaceFinder
from photoanimer_async.engine.picture import Picture, load_picture
from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.engine.video import Mp4Writer
from photoanimer_async.engine.warp_engine import WarpEngine

TEMPLATE = 1
SIZES = (512, 1024)
LARGEST = 4096
WORKER_VIDEOS = 4
PROCESSES = (1, 2)

_SAME_POINT = 1e-3
"""Distance in pixels within which a triangle's corner is a landmark."""

PACKAGES = ("opencv-python-headless", "numpy", "av")
DAY = 86_400


def core_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of several runs in seconds, after one run to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def sized(size: int) -> bytes:
    """Return the portrait as a PNG file of `size` by `size` pixels."""
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        file = io.BytesIO()
        image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def waving(picture: Picture) -> NDArray[np.float32]:
    """Return a map that moves every pixel a little, (H, W, 2)."""
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.dstack([x + 3 * np.sin(y / 50), y + 3 * np.cos(x / 50)]).astype(np.float32)


def encode_superfast(frames: Iterator[Picture], width: int, height: int) -> bytes:
    """Encode frames with x264, preset superfast."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "superfast"}
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def floor(picture: Picture, frames: Sequence[Picture], repeats: int) -> float:
    """Return the core-seconds of one remap and one encode for each frame of the video."""
    map_, (height, width) = waving(picture), picture.shape[:2]
    no_map: NDArray[np.float32] = None  # type: ignore[assignment]  # OpenCV's stubs want a second

    def remapped() -> Iterator[Picture]:
        for frame in frames:
            cv2.remap(picture, map_, no_map, cv2.INTER_CUBIC)
            yield frame

    return core_seconds(lambda: encode_superfast(remapped(), width, height), repeats)


def pinned_mesh(picture: Picture, face: Face) -> NDArray[np.float32]:
    """Return the mesh and eight points on the photo's borders, (476, 2)."""
    right, bottom = picture.shape[1] - 1, picture.shape[0] - 1
    border = [(x, y) for x in (0, right / 2, right) for y in (0, bottom / 2, bottom)]
    border.remove((right / 2, bottom / 2))
    return np.concatenate([face.landmarks[:468, :2], border]).astype(np.float32)


def triangles(points: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return Delaunay triangles as indices of points, shape (n, 3)."""
    right, bottom = points.max(axis=0)
    division = cv2.Subdiv2D((0, 0, int(right) + 1, int(bottom) + 1))
    for x, y in points.tolist():
        division.insert((x, y))
    corners = np.asarray(division.getTriangleList()).reshape(-1, 3, 2)
    nearest = np.linalg.norm(corners[:, :, None] - points, axis=-1)
    inside = nearest.min(axis=-1).max(axis=-1) < _SAME_POINT
    return np.asarray(nearest.argmin(axis=-1)[inside], np.intp)


def warp_triangles(
    picture: Picture, points: NDArray[np.float32], mesh: NDArray[np.intp], by: float
) -> Picture:
    """Cut out each triangle, warp it affinely, and blend it into its place."""
    result = picture.astype(np.float32)
    moved = points + np.float32(by) * np.sin(points[:, ::-1] / 20).astype(np.float32)
    moved[468:] = points[468:]
    for corners in mesh:
        source, target = points[corners], moved[corners]
        left, top, wide, high = cv2.boundingRect(target)
        from_left, from_top, from_wide, from_high = cv2.boundingRect(source)
        patch = picture[from_top : from_top + from_high, from_left : from_left + from_wide]
        source = source - np.array([from_left, from_top], np.float32)
        target = target - np.array([left, top], np.float32)
        affine = cv2.getAffineTransform(source, target)
        warped = cv2.warpAffine(
            patch, affine, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        mask = np.zeros((high, wide, 3), np.float32)
        corners_in_place = np.round(target).astype(np.int32)
        cv2.fillConvexPoly(mask, corners_in_place, (1.0, 1.0, 1.0), cv2.LINE_AA)
        part = result[top : top + high, left : left + wide]
        shown = np.s_[: part.shape[0], : part.shape[1]]
        part[:] = part * (1 - mask[shown]) + warped[shown] * mask[shown]
    return np.clip(result, 0, 255).astype(np.uint8)


@frozen
class Costs:
    """Core-seconds at one size of photo and video."""

    prepared: float
    warped: float
    encoded: float
    video: float
    floor: float
    by_triangles: float

    @property
    def cells(self) -> list[str]:
        """The column of the table."""
        milliseconds = (self.prepared, self.warped, self.encoded, self.video, self.floor)
        return [
            *(f"{1000 * seconds:.{int(seconds < 1 / 100)}f}" for seconds in milliseconds),
            f"{self.video / self.floor:.2f}",
            f"{self.by_triangles / self.warped:.0f}",
        ]


HEADS = [
    "load the photo, find a face, prepare",
    "warp, a frame",
    "encode, a frame",
    "the whole video",
    "the floor",
    "video / floor",
    "warping by triangles / ours",
]


def bench_size(size: int, repeats: int) -> Costs:
    """Measure stages and the ways of others at one size of photo and video."""
    photo = sized(size)
    picture, finder, engine = load_picture(photo), FaceFinder(), WarpEngine()
    face = finder.find(picture)[0]
    portrait = engine.prepare(picture, face)
    moments = motion(TEMPLATE, 0)
    frames = [portrait.frame(moment) for moment in moments]

    def prepare() -> None:
        engine.prepare(picture, finder.find(load_picture(photo))[0])

    def warp() -> None:
        for moment in moments:
            portrait.frame(moment)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def render() -> None:
            animate(photo, TEMPLATE, mp4=folder / "video.mp4")

        def encode() -> None:
            with Mp4Writer(folder / "encoded.mp4", size, size, None) as writer:
                for frame in frames:
                    writer.write(frame)

        points = pinned_mesh(picture, face)
        mesh = triangles(points)
        return Costs(
            prepared=core_seconds(prepare, repeats),
            warped=core_seconds(warp, repeats) / len(frames),
            encoded=core_seconds(encode, repeats) / len(frames),
            video=core_seconds(render, repeats),
            floor=floor(picture, frames, repeats),
            by_triangles=core_seconds(lambda: warp_triangles(picture, points, mesh, 1.5), repeats),
        )


def bench_sizes(sizes: Sequence[int], repeats: int) -> None:
    """Print what rendering costs, and how many videos that are a day."""
    found = {size: bench_size(size, repeats) for size in sizes}
    names = [f"{size}x{size}" for size in sizes]
    columns = zip(HEADS, *(costs.cells for costs in found.values()), strict=True)
    figures(
        "engine",
        f"Core-milliseconds, template {TEMPLATE} ({len(motion(TEMPLATE, 0))} frames); medians of "
        f"{repeats}:",
        table(["", *names], [list(row) for row in columns]),
        packages=PACKAGES,
    )
    days = ", ".join(
        f"{DAY / costs.video:,.0f} from {name}"
        for name, costs in zip(names, found.values(), strict=True)
    )
    figures(
        "engine-capacity",
        f"Videos of template {TEMPLATE} a day and core: {days} pixels.",
        packages=PACKAGES,
    )
    for name, costs in zip(names, found.values(), strict=True):
        Goal(
            f"engine, {name}: video / floor",
            costs.video / costs.floor,
            2.0 if name.startswith("512") else 1.3,
        ).print()
        by_triangles = costs.by_triangles / costs.warped
        Goal(f"engine, {name}: triangles / ours", by_triangles, 4, at_least=True).print()


def render_some(photo: bytes, core: int, count: int) -> None:
    """Render some videos on one core, as one worker does."""
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            animate(photo, TEMPLATE, mp4=Path(folder) / "video.mp4")


def rates(repeats: int) -> list[float]:
    """Return videos a minute of one and of two worker processes, each on its own core."""
    cores = sorted(os.sched_getaffinity(0))
    photo, context = sized(SIZES[0]), multiprocessing.get_context("spawn")
    found = []
    for processes in PROCESSES:
        with ProcessPoolExecutor(processes, mp_context=context) as pool:

            def run(
                count: int, pool: Executor = pool, used: Sequence[int] = cores[:processes]
            ) -> float:
                start = time.perf_counter()
                done = [pool.submit(render_some, photo, core, count) for core in used]
                for future in done:
                    future.result()
                return time.perf_counter() - start

            run(1)
            taken = statistics.median(run(WORKER_VIDEOS) for _ in range(repeats))
        found.append(60 * WORKER_VIDEOS * processes / taken)
    return found


START = """
import time
start = time.perf_counter()
from photoanimer_async.engine import animate
from photoanimer_async.engine.face import FaceFinder
FaceFinder()
print(time.perf_counter() - start)
"""

PEAK = """
import re, sys, tempfile
from pathlib import Path
from photoanimer_async.engine import animate
with tempfile.TemporaryDirectory() as folder:
    animate(Path(sys.argv[1]).read_bytes(), 2, mp4=Path(folder) / "video.mp4")
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024)
"""


def in_a_new_process(program: str, *arguments: str) -> float:
    """Return the number that a Python program prints."""
    run = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", program, *arguments], capture_output=True, check=True, text=True
    )
    return float(run.stdout)


def bench_workers(repeats: int) -> None:
    """Print how long a worker takes to start, its memory, and what a second one adds.

    Without repeats, it starts once, and the second is left out.
    """
    start = statistics.median(in_a_new_process(START) for _ in range(max(1, repeats)))
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "large.jpg"
        with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
            image.convert("RGB").resize((LARGEST, LARGEST), Image.Resampling.BICUBIC).save(photo)
        peak = in_a_new_process(PEAK, str(photo))
    large = f"{LARGEST}x{LARGEST}"
    shown = f"A worker starts in {start:.1f} s; a photo of {large} takes it to {peak:.0f} MiB."
    if repeats and len(os.sched_getaffinity(0)) >= PROCESSES[-1]:
        one, two = rates(repeats)
        shown += f" One renders {one:.0f} videos a minute at {SIZES[0]}x{SIZES[0]}, two {two:.0f}."
        Goal("engine: two processes / one", two / one, 1.8, at_least=True).print()
    figures("engine-workers", shown, packages=PACKAGES)
    Goal("engine: start of a worker", start, 1.5, "s").print()
    Goal(f"engine: peak memory with a photo of {large}", peak, 600, "MiB").print()


def main() -> None:
    """Run all benchmarks and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs that a median is taken of")
    parser.add_argument("--quick", action="store_true", help="the smaller size, once")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    sizes, repeats = (SIZES[:1], 1) if chosen.quick else (SIZES, chosen.repeats)
    bench_sizes(sizes, repeats)
    bench_workers(0 if chosen.quick else repeats)


if __name__ == "__main__":
    main()

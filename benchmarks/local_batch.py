"""Use of the cores by a batch that the command line animates on this machine.

    python benchmarks/local_batch.py [--photos 40] [--repeats 3] [--quick]

`photoanimer animate PHOTOS --local` animates photos of 512x512 pixels with template 1. Busy is the
processor's time of the command and its workers, as a share of the time that all cores have from
the start of the command to its end. The engine's share is the time of the workers, which render
and encode, from all of this; the rest is the command itself: client, service, checks, downloads.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen
from machine import Goal, figures, table
from PIL import Image, ImageEnhance

from photoanimer_async.engine.samples import ASTRONAUT

SIDE = 512
TEMPLATE = 1
COMMAND_LINE = "from photoanimer_async.cli import main; main()"


@frozen
class Use:
    """How a batch has used the cores: shares of their time, and videos an hour."""

    busy: float
    engine: float
    an_hour: float


def write_photos(folder: Path, count: int) -> None:
    """Write so many portraits that differ in brightness."""
    with Image.open(io.BytesIO(ASTRONAUT.read_bytes())) as image:
        portrait = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    for number in range(count):
        brighter = ImageEnhance.Brightness(portrait).enhance(0.9 + 0.2 * number / count)
        brighter.save(folder / f"{number:03}.png")


def own_cpu(pid: int) -> float:
    """Return the CPU seconds of a process that has ended, without those of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def animate(count: int) -> Use:
    """Animate so many photos; return how the cores were used."""
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="batch-") as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        write_photos(folder / "photos", count)
        command = [sys.executable, "-c", COMMAND_LINE, "animate", "photos", "--local", "--yes"]
        command += ["--template", str(TEMPLATE), "--out", "out"]
        began = time.monotonic()
        with (folder / "output").open("w") as output:
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)  # noqa: S603 - our own command
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.monotonic() - began
        own = own_cpu(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        made = len(list((folder / "out").glob("*.mp4")))
        assert made == count, (folder / "output").read_text()
    spent = usage.ru_utime + usage.ru_stime  # with the workers', which have been waited for
    available = cores * wall
    return Use(spent / available, (spent - own) / available, 3600 * count / wall)


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--photos", type=int, default=40)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="3 photos, once")
    chosen = arguments.parse_args()
    count, repeats = (3, 1) if chosen.quick else (chosen.photos, chosen.repeats)
    uses = [animate(count) for _ in range(repeats)]
    busy = statistics.median(use.busy for use in uses)
    in_engine = statistics.median(use.engine / use.busy for use in uses)
    an_hour = statistics.median(use.an_hour for use in uses)
    figures(
        "local-batch",
        f"{count} photos of {SIDE}x{SIDE} pixels, template {TEMPLATE}; medians of {repeats}:",
        table(
            ["cores busy", "of that, workers", "videos an hour"],
            [[f"{busy:.2f}", f"{in_engine:.2f}", f"{an_hour:,.0f}"]],
        ),
        packages=("opencv-python-headless", "numpy", "av"),
    )
    Goal("local batch: share of the cores' time that is busy", busy, 0.95, at_least=True).print()
    Goal("local batch: share of that in the engine", in_engine, 0.95, at_least=True).print()


if __name__ == "__main__":
    main()

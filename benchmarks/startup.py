"""Cost of imports, in fresh processes, side by side.

    python benchmarks/startup.py [--repeats 11] [--quick]

The package is compared with its four dependencies alone. The two processes of a pair run one after
the other, and the figure is the median of the pairs' ratios. `photoanimer --help` must import
neither the engine nor numpy nor aiohttp.
"""

import argparse
import compileall
import statistics
import subprocess
import sys
from pathlib import Path

from machine import Goal, figures, table

import photoanimer_async

NOTHING, ALONE = "nothing", "`import aiohttp, attrs, backoff, cattrs`"
CLIENT = "`from photoanimer_async import PhotoAnimerClient`"
HELP = "`photoanimer --help`"
RUN_HELP = (
    "import sys; sys.argv = ['photoanimer', '--help']\n"
    "from photoanimer_async.cli import main\n"
    "try: main()\n"
    "except SystemExit: pass\n"
)
IMPORTS = (ALONE, "`import photoanimer_async`", CLIENT)
PROGRAMS = {NOTHING: "", **{shown: shown.strip("`") for shown in IMPORTS}, HELP: RUN_HELP}
PACKAGE = Path(photoanimer_async.__file__).parent
UNWANTED = ("aiohttp", "numpy", "photoanimer_async.engine", "photoanimer_async.service")

_CPU = "\nimport resource, sys\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_utime"
_CPU += " + resource.getrusage(resource.RUSAGE_SELF).ru_stime, file=sys.stderr)"


def cpu_seconds(code: str) -> float:
    """Return the CPU seconds of a fresh process that runs this."""
    finished = subprocess.run(  # noqa: S603 - code of this file
        [sys.executable, "-c", code + _CPU], capture_output=True, text=True, check=True
    )
    return float(finished.stderr.splitlines()[-1])


def imported_by_help() -> list[str]:
    """Return the modules that `--help` imports without need."""
    code = RUN_HELP + f"\nprint(*(m for m in {UNWANTED!r} if m in sys.modules), file=sys.stderr)"
    finished = subprocess.run(  # noqa: S603 - likewise
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return finished.stderr.split()


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description="What it costs to begin.")
    arguments.add_argument("--repeats", type=int, default=11)
    arguments.add_argument("--quick", action="store_true", help="3 repeats")
    chosen = arguments.parse_args()
    repeats = 3 if chosen.quick else chosen.repeats
    # Compiled, as an installed package is: where PYTHONDONTWRITEBYTECODE is set, Python would
    # compile each changed module again at every start.
    compileall.compile_dir(PACKAGE, quiet=1)
    for program in PROGRAMS.values():
        cpu_seconds(program)
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(repeats):
        for name, code in PROGRAMS.items():
            times[name].append(cpu_seconds(code))
    ratios = {}
    for name, found in times.items():
        three = zip(found, times[ALONE], times[NOTHING], strict=True)
        ratios[name] = statistics.median(
            (our - bare) / (their - bare) for our, their, bare in three
        )
    rows = [
        [name, f"{1000 * statistics.median(found):.0f}", f"{ratios[name]:.2f}"]
        for name, found in times.items()
    ]
    figures(
        "startup",
        f"CPU of a new process, medians of {repeats}:",
        table(("program", "ms", "above Python's start, of the dependencies'"), rows),
        packages=("aiohttp", "attrs", "backoff", "cattrs"),
    )
    Goal("import of PhotoAnimerClient / its four dependencies", ratios[CLIENT], 1.25).print()
    Goal("photoanimer --help", statistics.median(times[HELP]), 0.15, "s CPU").print()
    unwanted = ", ".join(imported_by_help())
    assert not unwanted, f"photoanimer --help imports {unwanted}"


if __name__ == "__main__":
    main()

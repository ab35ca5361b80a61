"""Cost of imports, in fresh processes, side by side.

    python benchmarks/startup.py [--repeats 11] [--quick]

The package is compared with its four dependencies alone. The two processes of a pair run one after
the other, and the figure is the median of the pairs' ratios. `photoanimer --help` must import
neither the engine nor numpy nor aiohttp.
"""

import argparse
import statistics
import subprocess
import sys

from machine import described, table

DEPENDENCIES = "import aiohttp, attrs, backoff, cattrs"
PACKAGE = "import photoanimer_async"
CLIENT = "from photoanimer_async import PhotoAnimerClient"
HELP = (
    "import sys; sys.argv = ['photoanimer', '--help']\n"
    "from photoanimer_async.cli import main\n"
    "try: main()\n"
    "except SystemExit: pass\n"
)
UNWANTED = ("aiohttp", "numpy", "photoanimer_async.engine", "photoanimer_async.service")
BAR = 1.15

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
    code = HELP + f"\nprint(*(m for m in {UNWANTED!r} if m in sys.modules), file=sys.stderr)"
    finished = subprocess.run(  # noqa: S603 - likewise
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return finished.stderr.split()


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description="What it costs to begin.")
    arguments.add_argument("--repeats", type=int, default=11)
    arguments.add_argument("--quick", action="store_true", help="3 repeats")
    chosen = arguments.parse_args()
    repeats = 3 if chosen.quick else chosen.repeats
    codes = {"nothing": "", "the four dependencies": DEPENDENCIES, "photoanimer_async": PACKAGE}
    codes |= {"its PhotoAnimerClient": CLIENT, "photoanimer --help": HELP}
    for code in codes.values():
        cpu_seconds(code)
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(repeats):
        for name, code in codes.items():
            times[name].append(cpu_seconds(code))
    print(described("aiohttp", "attrs", "backoff", "cattrs"))
    print(f"\nCPU of a fresh process, medians of {repeats}:\n")
    rows = [[name, f"{1000 * statistics.median(found):.0f}"] for name, found in times.items()]
    print(table(("imports", "ms"), rows))
    for name in ("photoanimer_async", "its PhotoAnimerClient"):
        three = zip(times[name], times["the four dependencies"], times["nothing"], strict=True)
        ratio = statistics.median((ours - bare) / (theirs - bare) for ours, theirs, bare in three)
        print(f"\n{name} / its dependencies: {ratio:.2f} (to reach: {BAR})")
    unwanted = ", ".join(imported_by_help())
    print(f"\nof {', '.join(UNWANTED)}, --help imports: {unwanted or 'none'}")
    assert not unwanted


if __name__ == "__main__":
    main()

"""How the cost of tasks grows with their number.

    python benchmarks/growth.py [--tasks 10 100 1000 10000 100000] [--repeats 3] [--quick]

This client submits so many tasks as fast as it can and waits for all of them, as in `peers.py`:
CPU for each task, growth of the process's peak of memory, and the delay from a task's end to the
answer that says so. More than 1,000 tasks run once. The picture is `growth.svg` beside this
script; with `--quick` it is not written.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen
from machine import figures, table
from peers import COLD, Run, run

PICTURE = Path(__file__).with_name("growth.svg")
LARGE = 1000

# Of one panel of the picture, in pixels.
WIDTH, HEIGHT, LEFT, TOP, STEP = 240, 200, 34, 44, 43
# These are readable on white and on black.
STYLE = (
    "text { font: 11px sans-serif; fill: #6e7781; text-anchor: middle } "
    ".title { font-weight: bold } "
    ".axis { stroke: #6e7781; stroke-width: 1 } "
    ".line { stroke: #2f81f7; stroke-width: 2; fill: none } "
    ".point { fill: #2f81f7 }"
)


@frozen
class Measure:
    """What is shown: its title, its value for a run, and how it is written."""

    title: str
    of: Callable[[Run], float]
    digits: int

    def values(self, runs: dict[int, list[Run]]) -> list[float]:
        """Return the medians for each number of tasks."""
        return [statistics.median(map(self.of, mine)) for mine in runs.values()]

    def shown(self, value: float) -> str:
        """Return a value as text."""
        return f"{value:,.{self.digits}f}"


MEASURES = (
    Measure("CPU a task, us", lambda one: 1e6 * one.cpu / one.tasks, 0),
    Measure("memory in all, MiB", lambda one: one.memory / 2**20, 1),
    Measure("delay p50, s", lambda one: one.delay(0.5), 2),
)


def measured(sizes: Sequence[int], repeats: int) -> dict[int, list[Run]]:
    """Run the client with each number of tasks."""
    runs: dict[int, list[Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            seeds = range(1 if size > LARGE else repeats)
            runs[size] = [run(COLD, size, 1 + seed, Path(folder) / "unused") for seed in seeds]
            assert all(one.ended == size for one in runs[size]), "tasks are lost"
    return runs


def drawn(runs: dict[int, list[Run]]) -> str:
    """Return the picture, SVG with a panel for each measure; both axes are logarithmic."""
    panels = [
        f'<g transform="translate({number * WIDTH} 0)">{"".join(panel(measure, runs))}</g>'
        for number, measure in enumerate(MEASURES)
    ]
    size = f"{len(MEASURES) * WIDTH} {HEIGHT}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">',
            "<title>CPU, memory and delay against the number of tasks</title>",
            f"<style>{STYLE}</style>",
            *panels,
            "</svg>\n",
        ]
    )


def panel(measure: Measure, runs: dict[int, list[Run]]) -> Iterator[str]:
    """Return the elements of one panel."""
    values = measure.values(runs)
    bottom = HEIGHT - 30
    low, high = math.log(min(values)), math.log(max(values))
    middle, half = (low + high) / 2, max(high - low, math.log(10)) / 2
    xs = [LEFT + STEP * number for number in range(len(values))]
    # The lower and the upper eighth are left free for the values.
    ys = [
        (TOP + bottom) / 2 - (bottom - TOP) * 3 / 8 * (math.log(value) - middle) / half
        for value in values
    ]
    yield f'<text class="title" x="{LEFT + 2 * STEP}" y="18">{measure.title}</text>'
    yield f'<path class="axis" d="M{LEFT - 18} {bottom}H{xs[-1] + 18}"/>'
    path = "L".join(f"{x} {y:.1f}" for x, y in zip(xs, ys, strict=True))
    yield f'<path class="line" d="M{path}"/>'
    for x, y, tasks, value in zip(xs, ys, runs, values, strict=True):
        yield f'<circle class="point" cx="{x}" cy="{y:.1f}" r="3"/>'
        yield f'<text x="{x + 6}" y="{y - 9:.1f}">{measure.shown(value)}</text>'
        yield f'<text x="{x}" y="{bottom + 16}">{tasks:,}</text>'


def main() -> None:
    """Print the figures and write the picture."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument(
        "--tasks", type=int, nargs="+", default=[10, 100, LARGE, 10_000, 100_000]
    )
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="10 and 50 tasks, once")
    chosen = arguments.parse_args()
    sizes, repeats = ([10, 50], 1) if chosen.quick else (chosen.tasks, chosen.repeats)
    runs = measured(sizes, repeats)
    picture = drawn(runs)
    if not chosen.quick:
        PICTURE.write_text(picture, encoding="utf-8")
    columns = [map(measure.shown, measure.values(runs)) for measure in MEASURES]
    rows = zip((f"{size:,}" for size in runs), *columns, strict=True)
    figures(
        "growth",
        f"Medians of {repeats}, beyond {LARGE:,} tasks single runs:",
        table(("tasks", *(measure.title for measure in MEASURES)), [list(row) for row in rows]),
        f"![CPU, memory and delay against the number of tasks]({PICTURE.name})",
        packages=["aiohttp"],
    )


if __name__ == "__main__":
    main()

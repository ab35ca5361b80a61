"""Run the benchmarks one after the other, and fill the pages with their figures.

    pip install -e '.[all,bench]'
    python benchmarks/all.py [--only NAME ...] [--quick]

Run it on a Linux machine that does nothing else: it takes about 27 minutes with two cores. `soak`
takes 42 more, and runs only by name.

A script prints its figures between `<!-- figures: NAME -->` and `<!-- end -->`, in Markdown. Every
block of this name on a page is replaced by it, so no figure is typed by hand. What the scripts
print is kept in `build/benchmarks/`; the last table compares with the goals. A script that fails
changes no page. With `--quick` the scripts run in their short forms, and no page is changed.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from machine import Goal, goals_in, table

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "benchmarks"
SCRIPTS: dict[str, tuple[str, ...]] = {
    "counts": (),
    "polling": (),
    "peers": (),
    "faults": (),
    "overhead": (),
    "scale": (),
    "growth": (),
    "startup": (),
    "journal": (),
    "photos": (),
    "publishing": (),
    "engine": (),
    "local_batch": (),
    "load": ("--rounds", "3", "--seconds", "15"),
    "neighbours": ("--seconds", "20"),
    "soak": ("--hours", "0.7", "--rate", "28.6"),
}
BY_NAME_ONLY = {"soak"}
_BUSY = 0.5
_BLOCK = re.compile(r"<!-- figures: (?P<name>[\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def pages() -> list[Path]:
    """Return the pages that may show figures."""
    package = ROOT / "photoanimer_async"
    return [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted(package.rglob("*.md"))]


def blocks_in(text: str) -> dict[str, str]:
    """Return the blocks of figures in a page or in what a script has printed, by name."""
    return {found["name"]: found[0] for found in _BLOCK.finditer(text)}


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """Return a page with these blocks in place of its own; others stay as they are."""
    return _BLOCK.sub(lambda found: blocks.get(found["name"], found[0]), page)


def fill_pages(blocks: Mapping[str, str]) -> None:
    """Put these blocks on every page that has one of their name."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := filled(text, blocks)) != text:
            page.write_text(new, encoding="utf-8")


def run(name: str, *arguments: str) -> tuple[str, bool]:
    """Run a script; return what it has printed, and whether it succeeded."""
    began = time.monotonic()
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own scripts
    sys.stdout.write(done.stdout)
    outcome = f"exit status {done.returncode}" if done.returncode else "done"
    sys.stderr.write(f"== {name}: {outcome}, {time.monotonic() - began:.0f} s\n")
    return done.stdout, done.returncode == 0


def compared(goals: Iterable[Goal]) -> str:
    """Return the table of goals: reached, or by how much not."""
    rows = []
    for goal in goals:
        least = "at least " if goal.at_least else ""
        missing = f"{_shown(goal.shortfall)} {goal.unit} {'less' if goal.at_least else 'more'}"
        rows.append(
            [
                goal.name,
                f"{least}{_shown(goal.bound)} {goal.unit}".strip(),
                f"{_shown(goal.reached)} {goal.unit}".strip(),
                "PASS" if goal.shortfall <= 0 else " ".join(missing.split()),
            ]
        )
    return table(("goal", "bound", "reached", ""), rows)


def _shown(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def main() -> int:
    """Run the scripts, fill the pages, and print the goals."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = [name for name in SCRIPTS if name not in BY_NAME_ONLY]
    arguments.add_argument("--only", nargs="+", choices=SCRIPTS, default=default)
    arguments.add_argument(
        "--quick", action="store_true", help="short forms; pages stay as they are"
    )
    chosen = arguments.parse_args()
    if os.getloadavg()[0] > _BUSY:
        sys.stderr.write(f"the machine is busy: load {os.getloadavg()[0]:.1f}\n")
    began = time.monotonic()
    failed: list[str] = []
    goals: list[Goal] = []
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in chosen.only:
        output, succeeded = run(name, *(["--quick"] if chosen.quick else SCRIPTS[name]))
        goals += goals_in(output)
        if not succeeded:
            failed.append(name)
        elif not chosen.quick:
            fill_pages(blocks_in(output))
        (KEPT / f"{name}{'-quick' * chosen.quick}.md").write_text(output, encoding="utf-8")
    print(compared(goals))
    print(f"\n{(time.monotonic() - began) / 60:.0f} minutes")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

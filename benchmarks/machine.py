"""What the scripts share: figures for the pages, goals, the machine, and Markdown tables."""

import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attrs import asdict, frozen

GOAL = "<!-- goal "


def figures(name: str, *parts: str, packages: Sequence[str] = ()) -> None:
    """Print a block of figures, which `all.py` copies to the pages that have one of this name.

    Args:
        name: the block's name; a literal, so that a test finds it in the source.
        parts: tables and sentences, in Markdown.
        packages: those whose versions the figures depend on.
    """
    where = f"<sub>{described(*packages)}</sub>"
    print("\n\n".join([f"<!-- figures: {name} -->", *parts, where]), end="\n<!-- end -->\n\n")


@frozen
class Goal:
    """A figure and its bound.

    Attributes:
        name: what is measured.
        reached: the figure.
        bound: the most it should be, or the least if `at_least`.
        unit: of both; empty for ratios.
        at_least: whether more is better.
    """

    name: str
    reached: float
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def shortfall(self) -> float:
        """How much is missing, in the goal's unit; zero or less if the goal is reached."""
        return self.bound - self.reached if self.at_least else self.reached - self.bound

    def print(self) -> None:
        """Print the goal for `all.py`, which shows all of them in its last table."""
        print(f"{GOAL}{json.dumps(asdict(self))} -->")


def goals_in(output: str) -> Iterable[Goal]:
    """Return the goals in what a script has printed."""
    for line in output.splitlines():
        if line.startswith(GOAL):
            yield Goal(**json.loads(line.removeprefix(GOAL).removesuffix(" -->")))


def described(*packages: str) -> str:
    """Return the machine, the versions of Python and these packages, and the date."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.partition(": ")[2] for x in lines if x.startswith("model name")), model)
    found = [f"{name} {known}" for name in packages if (known := _version(name))]
    return ", ".join(
        [
            f"{os.cpu_count()} cores of {model}",
            f"Python {platform.python_version()}",
            *found,
            f"{datetime.now(tz=UTC):%d %B %Y}",
        ]
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in [head, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def peak_memory() -> int:
    """Return the most bytes that this process has held so far (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    sys.exit("there is no VmHWM in /proc/self/status")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

"""The long form of the kill test: `python -m tests.service.kills --kills 500`."""

# ruff: noqa: T201 - its output is its product
import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .harness import Harness


def main() -> int:
    """Kill the service, then a broken one; return 0 if only the broken one has problems."""
    parser = argparse.ArgumentParser(prog="python -m tests.service.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--control-kills", type=int, default=20, help="of the broken service")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="kills-") as folder:
        report = Harness(Path(folder), arguments.kills, arguments.seed).run()
    print("the service:", report)
    with TemporaryDirectory(prefix="kills-") as folder:
        control = Harness(
            Path(folder), arguments.control_kills, arguments.seed, answers_early=True
        ).run()
    print("a broken service, which answers submits before they are on disk:", control)
    if not control.problems:
        print("no problem was found with the broken service, so this run proves nothing")
    return 0 if not report.problems and control.problems else 1


if __name__ == "__main__":
    sys.exit(main())

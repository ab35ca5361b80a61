"""The kill test by command: `python -m tests.service.kills --kills 500`."""

# ruff: noqa: T201 - its output is its product
import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .harness import Harness


def main() -> int:
    """Kill the service, then a hasty one; return 0 if only the hasty one has problems."""
    parser = argparse.ArgumentParser(prog="python -m tests.service.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--hasty-kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="kills-") as folder:
        ours = Harness(Path(folder), chosen.kills, chosen.seed).run()
    print("the service:", ours)
    with TemporaryDirectory(prefix="kills-") as folder:
        hasty = Harness(Path(folder), chosen.hasty_kills, chosen.seed, hasty=True).run()
    print("a service that answers before a task is on disk:", hasty)
    if not hasty.problems:
        print("no problem was found in the hasty service, so the test proves nothing")
    return 0 if not ours.problems and hasty.problems else 1


if __name__ == "__main__":
    sys.exit(main())

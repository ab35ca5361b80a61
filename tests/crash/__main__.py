"""The crash test by command: `python -m tests.crash --kills 500 --photos 4000`."""

# ruff: noqa: T201 - its output is its product
import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .harness import Harness


def main() -> int:
    """Runs our client, then the naive one; the exit status tells whether all is as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--photos", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--naive-kills", type=int, default=10)
    parser.add_argument("--naive-photos", type=int, default=200)
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="crash-") as folder:
        ours = Harness(Path(folder), chosen.photos, chosen.kills, chosen.seed).run()
    print("photoanimer-async:", ours)
    for moment, count in sorted(ours.kills.items()):
        print(f"    {count:4} {moment}")
    for problem in ("charged_twice", "unreported", "lost", "leftovers"):
        for name in getattr(ours, problem)[:10]:
            print(f"  {problem}: {name}")
    with TemporaryDirectory(prefix="crash-") as folder:
        naive = Harness(
            Path(folder), chosen.naive_photos, chosen.naive_kills, chosen.seed, naive=True
        ).run()
    print("a naive client:", naive)
    seen = bool(naive.charged_twice)
    if not seen:
        print("the harness saw no double charge of the naive client: it proves nothing")
    return 0 if ours.faultless and seen and ours.kills.total() >= chosen.kills else 1


if __name__ == "__main__":
    sys.exit(main())

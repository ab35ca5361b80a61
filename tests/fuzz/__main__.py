"""Fuzzing by command: `python -m tests.fuzz --pictures 20000 --sounds 5000`."""

# ruff: noqa: T201 - its output is its product
import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .harness import Harness
from .mutations import mutated
from .seeds import SEEDS


def main() -> int:
    """Runs it, or writes one file of a run down; the exit status tells whether all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--sounds", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--write", nargs=2, metavar=("KIND/NUMBER", "FILE"), help="write one file down, to look at"
    )
    chosen = parser.parse_args()
    if chosen.write:
        kind, _, number = chosen.write[0].partition("/")
        Path(chosen.write[1]).write_bytes(mutated(SEEDS[kind](), chosen.seed, int(number)))
        return 0
    counts = {"picture": chosen.pictures, "sound": chosen.sounds}
    with TemporaryDirectory(prefix="fuzz-") as folder:
        report = asyncio.run(Harness(Path(folder), counts, chosen.seed, _show).run())
    print("\n".join(report.lines()))
    return 0 if report.well else 1


def _show(done: int) -> None:
    if done % 1000 == 0:
        print(f"{done} files", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

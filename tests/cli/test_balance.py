"""`photoanimer balance`."""

import re

from ..support.command_line import CommandLine
from .conftest import KEY


def test_video_seconds_are_shown(connected: CommandLine) -> None:
    done = connected("balance")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"video seconds +123.5\n", done.stdout)


def test_a_refused_key_is_one_line(connected: CommandLine) -> None:
    done = connected("balance", "--api-key", "key-0bad")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("photoanimer: mySubscription: ")
    assert done.stderr.endswith("; check PHOTOANIMER_API_KEY or --api-key\n")
    assert done.stderr.count("\n") == 1
    assert "key-0bad" not in done.stderr
    assert KEY not in done.stderr

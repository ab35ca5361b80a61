"""The limit of open files."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
from photoanimer_async.cli.open_files import raise_open_file_limit
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
raise_open_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("before", "after"), [("100 800", "800 800"), ("800 800", "800 800")])
def test_the_soft_limit_is_raised_to_the_hard_one(before: str, after: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *before.split()], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == after

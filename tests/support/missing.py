"""Programs that tests need and a machine may lack.

Without them tests are skipped, and `tests/conftest.py` prints at the end of the run what was left
out. Under `CI=true` they fail.
"""

import os
import shutil
from typing import NoReturn

import pytest

PREFIX = "missing: "


def require_program(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    The first name is also that of the Debian package.
    """
    found = next(filter(None, map(shutil.which, names)), None)
    return found or leave_out(f"{names[0]} (apt-get install {names[0]})")


def leave_out(what: str) -> NoReturn:
    """Skip the test because something is missing; say what, and how to get it."""
    if os.environ.get("CI") == "true":
        pytest.fail(PREFIX + what)
    pytest.skip(PREFIX + what)

"""The limit of open files of a long-running process.

Systems start processes with a soft limit of 256 or 1024 open files for the sake of programs that
use `select`, and with a far higher hard limit for all others.
"""

import resource

_ENOUGH = 65_536


def raise_open_file_limit() -> None:
    """Raise the soft limit of open files as far as the hard limit allows, up to 65,536.

    It holds for the whole process, so only a program may call this, not a library.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS may refuse what it has said is allowed
        return

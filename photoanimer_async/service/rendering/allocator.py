"""The C library's allocator, for a process that lives long.

By default glibc gives large blocks back to the system when they are freed, but only until one
larger than before has been freed: from then on blocks of that size are cut from the heap. The
256 KiB that asyncio sets aside for whatever comes in, most of which are cut short at once, then
leave holes there, and the process grows for hours although nothing is kept.
"""

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024


def give_large_blocks_back() -> bool:
    """Has blocks of 128 KiB and more given back as they are freed, for good (`man mallopt`).

    It holds for the whole process, so only a program may ask for it.

    Returns:
        Whether this C library can.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - whether it is glibc, whose numbers these are
        return bool(library.mallopt(_M_MMAP_THRESHOLD, _LARGE))
    except (AttributeError, OSError, TypeError):
        return False

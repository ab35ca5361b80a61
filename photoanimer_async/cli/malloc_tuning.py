"""Malloc thresholds of glibc for a long-running process.

By default glibc returns a large block to the system when it is freed, but only until a larger
block has been freed: then the threshold rises, and blocks of that size come from the heap. The
256 KiB that asyncio allocates for each read, most of which is cut short at once, then fragment
the heap, and the resident size of a server grows for hours although nothing leaks.
"""

import ctypes

_M_MMAP_THRESHOLD = -3
_THRESHOLD = 128 * 1024


def return_large_blocks_to_system() -> bool:
    """Fix the threshold at 128 KiB, from which freed blocks go back to the system.

    See `M_MMAP_THRESHOLD` in `man mallopt`. It holds for the whole process and cannot be undone,
    so only a program may call this, not a library.

    Returns:
        Whether the C library supports it.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - only glibc has it, whose constants these are
        return bool(library.mallopt(_M_MMAP_THRESHOLD, _THRESHOLD))
    except (AttributeError, OSError, TypeError):
        return False

"""Memory settings for a long-running process: glibc's allocator, and Python's garbage collector.

By default glibc returns a large block to the system when it is freed, but only until a larger
block has been freed: then the threshold rises, and blocks of that size come from the heap. The
256 KiB that asyncio allocates for each read, most of which is cut short at once, then fragment
the heap, and the resident size of a server grows for hours although nothing leaks.

Each thread also gets a heap of its own, up to eight for each core. What one thread has freed is
then of no use to the others, so that the size rises as long as threads differ in what they do.

By default Python looks for reference cycles whenever 700 more objects were created than deleted.
A hundred requests under way have more, so a busy server walks through all of them for each few
that it answers, and sometimes through every module and class that it has loaded.
"""

import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_THRESHOLD = 128 * 1024
_YOUNG_OBJECTS = 5_000


def return_large_blocks_to_system() -> bool:
    """Fix the threshold at 128 KiB, from which freed blocks go back to the system.

    See `M_MMAP_THRESHOLD` in `man mallopt`. It holds for the whole process and cannot be undone,
    so only a program may call this, not a library.

    Returns:
        Whether the C library supports it.
    """
    return _set(_M_MMAP_THRESHOLD, _THRESHOLD)


def share_one_heap() -> bool:
    """Let all threads allocate from one heap; Python's lock lets few of them wait for it.

    See `M_ARENA_MAX` in `man mallopt`. It holds for the whole process and for threads that start
    later, so only a program may call this, not a library.

    Returns:
        Whether the C library supports it.
    """
    return _set(_M_ARENA_MAX, 1)


def _set(parameter: int, value: int) -> bool:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - only glibc has it, whose constants these are
        return bool(library.mallopt(parameter, value))
    except (AttributeError, OSError, TypeError):
        return False


def collect_garbage_less_often() -> None:
    """Look for cycles less often, and only among objects that are created from now on.

    Call it once, when everything is loaded. It holds for the whole process, so only a program may
    call this, not a library.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])

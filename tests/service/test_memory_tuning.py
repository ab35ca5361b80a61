"""Runs in processes of their own, because the settings cannot be undone."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
import sys

from photoanimer_async.service.memory_tuning import return_large_blocks_to_system

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.free.argtypes = [ctypes.c_void_p]


class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd",
        "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]


library.mallinfo2.restype = Counts


def is_cut_from_the_heap(size):
    before = library.mallinfo2().hblks
    block = library.malloc(size)
    is_apart = library.mallinfo2().hblks > before
    library.free(block)
    return not is_apart


if sys.argv[1] == "tuned":
    assert return_large_blocks_to_system()
library.free(library.malloc(8_000_000))
print(is_cut_from_the_heap(2_000_000))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's allocator")
@pytest.mark.parametrize(("mode", "from_the_heap"), [("tuned", "False"), ("default", "True")])
def test_a_large_block_is_returned_after_a_larger_one_was_freed(
    mode: str, from_the_heap: str
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == from_the_heap


HEAPS = """
import ctypes
import sys
import threading

from photoanimer_async.service.memory_tuning import share_one_heap

library = ctypes.CDLL(None)
library.malloc.restype = library.fopen.restype = ctypes.c_void_p
library.free.argtypes = library.fclose.argtypes = [ctypes.c_void_p]
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
together = threading.Barrier(4)


def allocate():
    block = library.malloc(1000)
    together.wait()
    library.free(block)


if sys.argv[1] == "tuned":
    assert share_one_heap()
threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
report = library.fopen(b"/dev/stdout", b"w")
library.malloc_info(0, report)
library.fclose(report)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's allocator")
def test_threads_share_one_heap() -> None:
    heaps = {
        mode: subprocess.run(
            [sys.executable, "-c", HEAPS, mode], capture_output=True, text=True, check=True
        ).stdout.count("<heap nr=")
        for mode in ("tuned", "default")
    }
    assert heaps["tuned"] == 1 < heaps["default"]


def test_garbage_is_collected_less_often_and_still_collected() -> None:
    program = """
import gc
from photoanimer_async.service.memory_tuning import collect_garbage_less_often

def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

def make_cycles(count):
    before = collections()
    for _ in range(count):
        cycle = []
        cycle.append(cycle)
    return collections() - before

often = make_cycles(50_000)
collect_garbage_less_often()
assert gc.get_freeze_count() > 1000
assert 0 < make_cycles(50_000) < often / 5
assert len([each for each in gc.get_objects() if isinstance(each, list)]) < 25_000
"""
    subprocess.run([sys.executable, "-c", program], check=True)

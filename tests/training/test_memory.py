"""What a worker keeps in memory from run to run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ARENAS = """
    import ctypes, re, sys, threading

    from suite.training.supervised import keep_freed_memory

    libc = ctypes.CDLL("libc.so.6")
    libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p

    def arenas():
        file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
        libc.malloc_info(0, file)
        libc.fclose(file)
        return len(re.findall("<heap nr=", open(sys.argv[1]).read()))

    before = arenas()
    keep_freed_memory()
    barrier = threading.Barrier(9)

    def allocate():
        bytes(100_000)
        libc.free(ctypes.c_void_p(libc.malloc(1000)))
        barrier.wait()
        barrier.wait()

    threads = [threading.Thread(target=allocate) for _ in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait()
    print(before, arenas())
    barrier.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_share_two_arenas(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(ARENAS), str(tmp_path / "info.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    before, after = map(int, done.stdout.split())
    assert after <= max(before, 2)

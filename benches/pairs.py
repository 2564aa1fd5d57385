"""Nanoseconds for a block of Python's object allocator and its release, from C.

    WRASSE=alloc python pairs.py [--json]

Compiles pairs.c and calls it with PyObject_Malloc and PyObject_Free, whoever serves them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import own

SLICES = 60
COUNT = 20_000


def compiled(folder: str) -> ctypes.PyDLL:
    """The loops, as a library."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("no C compiler (cc): install gcc or clang")
    library = Path(folder) / "pairs.so"
    source = Path(__file__).with_name("pairs.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return ctypes.PyDLL(str(library))


def main() -> None:
    """Prints one line for each loop."""
    size, number = ctypes.c_size_t, ctypes.c_long
    functions = [
        ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p)
        for name in ("PyObject_Malloc", "PyObject_Free")
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        loops = compiled(folder)
        loops.pairs.restype = loops.replaced.restype = ctypes.c_double
        for each in (16, 48, 200, 500, 1500):
            took = loops.pairs(*functions, size(each), number(COUNT), SLICES)
            found.append((f"one of {each} bytes at a time", took))
        for live, mask in ((1000, 255), (20_000, 4095)):
            room = (ctypes.c_void_p * live)()
            took = loops.replaced(*functions, room, number(live), size(mask), number(COUNT), SLICES)
            title = f"one of {live} replaced at random, up to {mask + 1} bytes"
            found.append((title, took))
    if "--json" in sys.argv:
        own.tell(pairs=found)
        return
    print(f"WRASSE={os.environ.get('WRASSE', '')}: nanoseconds for a block and its release")
    for title, took in found:
        print(f"  {took:6.2f}  {title}")


main()

"""Which of CPython's own test files are run, and in which order."""

from __future__ import annotations

import subprocess
from pathlib import Path

# Slowest first, so that two workers finish at about the same time. A name that a version does not
# have is left out there: the subinterpreter tests changed their names twice.
FULL = (
    "test_interpreters",
    "test_capi",
    "test_threading",
    "test_io",
    "test_subprocess",
    "test_logging",
    "test_tracemalloc",
    "test_gc",
    "test_weakref",
    "test_sys",
    "test_itertools",
    "test_descr",
    "test_functools",
    "test_sqlite3",
    "test_set",
    "test_deque",
    "test_dict",
    "test_thread",
    "test_fork1",
    "test_atexit",
    "test_generators",
    "test_genexps",
    "test_coroutines",
    "test_asyncgen",
    "test_finalization",
    "test_weakset",
    "test_context",
    "test__xxsubinterpreters",
    "test__xxinterpchannels",
    "test__interpreters",
    "test__interpchannels",
)

# What a change to the collector or the tracer breaks first; under a minute for both sides.
QUICK = (
    "test_tracemalloc",
    "test_gc",
    "test_weakref",
    "test_finalization",
    "test_generators",
    "test_atexit",
    "test_fork1",
    "test_weakset",
    "test_dict",
)

# Seconds one file may take before it counts as hung.
TIMEOUT = 400


class SuiteMissing(Exception):
    """The interpreter comes without CPython's test package."""


def available(python: Path, names: tuple[str, ...]) -> list[str]:
    """Those of `names` that this interpreter's test package has."""
    found = subprocess.run(
        [
            str(python),
            "-I",
            "-c",
            "import os, test.support, test.libregrtest\nprint(*os.listdir(list(test.__path__)[0]))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        raise SuiteMissing((found.stderr.strip() or "no output").splitlines()[-1])
    entries = {entry.removesuffix(".py") for entry in found.stdout.split()}
    chosen = [name for name in names if name in entries]
    if not chosen:
        raise SuiteMissing(f"none of {', '.join(names)}")
    return chosen

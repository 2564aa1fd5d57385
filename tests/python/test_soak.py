"""Threads, finalizers, weak references, generators, freezing and forks at once, for
long: no finalizer is lost or runs twice, and memory stays where it is.

WRASSE_SOAK is the number of minutes; `make soak` takes an hour. What is not
named there takes a few seconds.
"""

import os
import pathlib
import subprocess
import sys

import command
import pytest

PROGRAM = pathlib.Path(__file__).with_name("soak.py")
SECONDS = 60 * float(os.environ.get("WRASSE_SOAK", "0.15"))
FEATURES = ["gc", "gc,alloc", "gc,alloc,pause=1ms", "gc,alloc,tracemalloc,trace=3,pause=5ms"]


@pytest.mark.parametrize("features", FEATURES)
def test_no_finalizer_is_lost_and_memory_is_flat(features):
    seconds = SECONDS / len(FEATURES)
    result = subprocess.run(
        # CPython warns of forks beside threads.
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAM)),
            *(str(seconds), str(FEATURES.index(features))),
        ],
        env=command.environment(WRASSE=features),
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    assert int(result.stdout.split()[0]) > 0

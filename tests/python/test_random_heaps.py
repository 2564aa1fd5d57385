"""The collector finds, finalizes and frees what stock does, on random heaps.

Both sides run the same program in processes of their own; WRASSE_HEAPS sets the
number of heaps (a nightly run takes more than the default).
"""

import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("random_heap.py")
HEAPS = int(os.environ.get("WRASSE_HEAPS", "2000"))
BATCH = 500


@pytest.mark.parametrize("first", range(0, HEAPS, BATCH))
def test_the_same_objects_in_the_same_order(first):
    outputs = []
    for features in (None, "gc", "gc,alloc"):
        env = {name: value for name, value in os.environ.items() if name != "WRASSE"}
        env |= {"PYTHONHASHSEED": "0"} | ({"WRASSE": features} if features else {})
        command = [sys.executable, str(PROGRAM), str(first), str(min(BATCH, HEAPS - first))]
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout.splitlines())
    stock, *ours = outputs
    assert len(stock) == min(BATCH, HEAPS - first)
    for lines in ours:
        for expected, got in zip(stock, lines, strict=True):
            assert got == expected

"""A bounded run of the stress program (tests/stress), with everything of wrasse turned on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "stress" / "stress.py"


@pytest.mark.parametrize(
    "words",
    [
        "gc,alloc,trace=25",
        "gc,alloc,tracemalloc",
        "gc,alloc,trace=25,limit=64MiB",
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_everything_at_once(words, seed):
    environment = {name: value for name, value in os.environ.items() if name != "WRASSE"}
    done = subprocess.run(
        [sys.executable, PROGRAM, "--rounds=10", f"--seed={seed}", "--timeout=100"],
        env={**environment, "WRASSE": words},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["seed", str(seed), "done"], done
    assert done.returncode == 0, done
    assert "wrasse:" not in done.stderr, "a part of wrasse was not turned on"

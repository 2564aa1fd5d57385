"""Threads, finalizers, weak references, generators, freezing and forks at once, for
long: no finalizer is lost or runs twice, and memory stays where it is.

WRASSE_SOAK is the number of minutes; `make soak` takes an hour. What is not
named there takes a few seconds.
"""

import os
import pathlib
import random
import subprocess
import sys

import command
import pytest
import soak

PROGRAM = pathlib.Path(soak.__file__)
SECONDS = 60 * float(os.environ.get("WRASSE_SOAK", "0.15"))
FEATURES = ["gc", "gc,alloc", "gc,alloc,pause=1ms", "gc,alloc,tracemalloc,trace=3,pause=5ms"]


def run(seconds, seed, *fault, **changes):
    return subprocess.run(
        # CPython warns of forks beside threads.
        [
            *(sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAM)),
            *(str(seconds), str(seed), *fault),
        ],
        env=command.environment(**changes),
        capture_output=True,
        text=True,
        timeout=seconds + 300,
    )


@pytest.mark.parametrize("features", FEATURES)
def test_no_finalizer_is_lost_and_memory_is_flat(features):
    result = run(SECONDS / len(FEATURES), FEATURES.index(features), WRASSE=features)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    assert int(result.stdout.split()[0]) > 0
    print(features, result.stdout, end="")


@pytest.mark.parametrize(
    ("fault", "message"),
    [("leak", "memory grows"), ("lost", "never finalized"), ("twice", "finalized twice")],
)
def test_it_notices(fault, message):
    result = run(0, 7, fault, WRASSE="gc,alloc")
    assert result.returncode == 1
    assert message in result.stderr


def test_a_mebibyte_a_minute_is_growth_and_noise_is_not():
    rng = random.Random(1)
    times = range(0, 15 * 60, 3)
    noise = [(time, (8 << 20) + rng.randrange(256 << 10)) for time in times]
    leak = [(time, used + time * (1 << 20) // 60) for time, used in noise]
    more, allowed = soak.growth(noise)
    assert more < allowed
    more, allowed = soak.growth(leak)
    assert more > allowed

"""``wrasse.track()`` counts to the byte what happens inside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import python, wrasse

PROGRAM = """
import gc, sys, threading, wrasse
gc.disable()
# Up to 3.12 CPython's cache of attributes keeps the names that were looked up, also those of code
# that is gone. Another name puts one out, maybe inside a block: it is a matter of addresses.
sys._clear_type_cache()
keep = [None] * 20
def figures(t):
    return (t.allocated_bytes, t.allocated_blocks, t.freed_bytes, t.freed_blocks,
            t.net_bytes, t.net_blocks, t.peak_bytes)

with wrasse.track() as t:
    pass
assert figures(t) == (0, 0, 0, 0, 0, 0, 0), figures(t)
assert t.lines == []
del t  # or it would be freed inside the next block, as its name gets the next one

with wrasse.track() as t:
    keep[0] = bytes(1_000_000)
    bytes(3_000_000)
    keep[1] = bytes(500)
assert figures(t) == (4_000_599, 3, 3_000_033, 1, 1_000_566, 2, 4_000_066), figures(t)
here = t.lines[0]
assert here.file == __file__ and here.net_bytes == 1_000_033 and here.net_blocks == 1, here
assert [line.line - here.line for line in t.lines] == [0, 2, 1]
assert t.lines[2].allocated_bytes == 3_000_033 and t.lines[2].net_bytes == 0

# Nested, and the peak of the outer one is not lost.
with wrasse.track() as outer:
    bytes(5_000_000)
    with wrasse.track() as inner:
        keep[2] = bytes(1_000)
        assert inner.net_bytes == 1_033
    with wrasse.track() as second:
        keep[2] = None
assert inner.net_bytes == 1_033 and inner.peak_bytes == 1_033
assert second.net_bytes == -1_033 and second.freed_bytes == 1_033 and second.peak_bytes == 0
assert outer.peak_bytes == 5_000_033, outer.peak_bytes

# Overlapping, not nested; in another thread; after an exception; again.
a, b = wrasse.track(), wrasse.track()
a.__enter__(); bytes(2_000_000); b.__enter__(); keep[3] = bytes(300_000)
a.__exit__(None, None, None); bytes(400_000); b.__exit__(None, None, None)
assert a.peak_bytes > 2_000_000 and 700_066 <= b.peak_bytes < 710_000, (a, b)
def work():
    with wrasse.track() as t:
        keep[4] = bytes(70_000)
    keep[5] = t.net_bytes
# What other threads do counts too, and this one has a way to go from start() to join().
interval = sys.getswitchinterval(); sys.setswitchinterval(1000)
thread = threading.Thread(target=work); thread.start(); thread.join()
sys.setswitchinterval(interval)
assert keep[5] == 70_033, keep[5]
try:
    with t:
        keep[6] = bytes(9_000)
        raise KeyError
except KeyError:
    assert t.allocated_bytes >= 9_033
for misuse in (lambda: wrasse.track().net_bytes, lambda: wrasse.track().__exit__(None, None, None),
               lambda: a.__enter__().__enter__()):
    try:
        misuse()
    except RuntimeError as error:
        print(error)
a.__exit__(None, None, None)

# Frames, and words.
def deep():
    keep[7] = bytes(20_000_000)
with wrasse.track(frames=3) as t:
    deep()
print(len(t.lines[0].frames), str(t).splitlines()[0])
assert str(t).splitlines()[1].strip().startswith("+19.1 MiB in 1 block")
print(wrasse.status()["profile"])
"""


@pytest.mark.parametrize(
    ("value", "frames", "profile"),
    [("", 2, "off"), ("alloc", 2, "off"), ("gc,alloc,trace=2", 2, "on"), ("trace", 1, "on")],
)
def test_every_byte_counts(tmp_path: Path, value: str, frames: int, profile: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    result = python(program, WRASSE=value)
    assert result.err == ""
    *misuses, words, state = result.out.splitlines()
    assert misuses == [
        "nothing is measured yet: with wrasse.track() as t: ...",
        "this tracker is not measuring",
        "this tracker is measuring already; make another with track()",
    ]
    assert words.startswith(f"{frames} kept +19.1 MiB in ") and state == profile


def test_the_runs_own_peak_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code = (
        "import wrasse\nx = bytes(40_000_000)\ndel x\n"
        "with wrasse.track() as t: y = bytes(1000)\nassert t.peak_bytes < 5000"
    )
    result = wrasse("run", "--trace", "--quiet", "--json", out, "-c", code)
    assert result.err == ""
    assert json.loads(out.read_text())["trace"]["peak_bytes"] > 40_000_000


def test_beside_tracemalloc() -> None:
    code = (
        "import tracemalloc, wrasse\ntracemalloc.start()\n"
        "with wrasse.track() as t:\n    x = bytes(1000)\n    tracemalloc.clear_traces()\n"
        "print(t.net_bytes >= 1033, tracemalloc.is_tracing(), wrasse.status()['profile'])"
    )
    assert python("-c", code, WRASSE="1").out == "True True off\n"
    # Stock's tracer and ours would take each other's hooks out.
    result = python("-c", code)
    assert "RuntimeError: memory cannot be tracked" in result.err

"""``wrasse.snapshot()`` says what tracemalloc's snapshot says."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import python

PROGRAM = """
import gc, json, tracemalloc, sys, wrasse, linecache
wrasse.Snapshot  # imported now: compiling it between two snapshots would take from free lists
tracemalloc.start(7)
def make(count):
    return [object() for _ in range(count)]
class Odd: pass
def deep(level):
    return [level, bytes(level), deep(level - 1)] if level else None
first = make(1000); second = [make(10) for _ in range(50)]
tree = json.loads(json.dumps({"x": [str(i) for i in range(100)]}))
exec(compile("import sys\\nodd = [bytes(i) for i in range(40)]", "caf\\xe9 \\u2603", "exec"))
chain = deep(30); gc.collect()  # empties free lists, from which a snapshot would take
theirs = [tracemalloc.take_snapshot()]
ours = [wrasse.snapshot("tracemalloc")]
third = make(3000); first.clear(); more = deep(10); gc.collect()
ours.append(wrasse.snapshot("tracemalloc"))
theirs.append(tracemalloc.take_snapshot())
tracemalloc.stop()

# What taking a snapshot itself allocates is in one of the two only, and what it takes
# from the free lists that compiling has filled changes its owner.
line = next(n for n, text in enumerate(open(__file__), 1) if text.startswith("theirs ="))
hide = [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, "*wrasse*")]
hide += [tracemalloc.Filter(False, "<frozen*")]
hide += [
    tracemalloc.Filter(False, __file__, n) for n in (line - 2, line, line + 1, line + 3, line + 4)
]
for extra in (
    [], [tracemalloc.Filter(True, __file__)], [tracemalloc.Filter(True, "*", all_frames=True)],
    [tracemalloc.Filter(False, "*decoder.py", all_frames=True)], [tracemalloc.DomainFilter(True, 0)],
    [tracemalloc.DomainFilter(False, 0)], [tracemalloc.Filter(True, __file__, 5, domain=0)],
    [tracemalloc.Filter(True, "*decoder*"), tracemalloc.Filter(True, "caf*")],
):
    a, b = ([s.filter_traces(hide + extra) for s in both] for both in (theirs, ours))
    for key in "lineno", "filename", "traceback":
        for cumulative in (False, True):
            if key == "traceback" and cumulative:
                continue
            for s, w in zip(a, b):
                x, y = s.statistics(key, cumulative), w.statistics(key, cumulative)
                assert x == y, (key, cumulative, extra, x[:5], y[:5])
                assert [str(each) for each in x] == [str(each) for each in y]
                assert [each.traceback.format() for each in x] == [each.traceback.format() for each in y]
            x, y = (s[1].compare_to(s[0], key, cumulative) for s in (a, b))
            assert x == y and [str(each) for each in x] == [str(each) for each in y]
            x, y = (s[0].compare_to(s[1], key, cumulative) for s in (a, b))
            assert x == y
assert len(b) and ours[0].traceback_limit == theirs[0].traceback_limit == 7
ours[1].dump("saved.wrasse")
back = wrasse.Snapshot.load("saved.wrasse")
assert back.statistics("traceback") == ours[1].statistics("traceback")
assert back.filter_traces(hide).statistics("lineno") == ours[1].filter_traces(hide).statistics("lineno")
assert back.traceback_limit == 7
print(len(ours[0].statistics("lineno")) > 3)
"""


@pytest.mark.parametrize("value", ["gc,tracemalloc", "gc,tracemalloc,trace=2", "tracemalloc", ""])
def test_it_says_what_tracemalloc_says(tmp_path: Path, value: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    result = python(program, cwd=tmp_path, WRASSE=value)
    assert (result.code, result.out, result.err[-2000:]) == (0, "True\n", "")


def test_the_profile_is_the_default() -> None:
    code = """
import wrasse
keep = [bytes(100) for _ in range(5000)]
snapshot = wrasse.snapshot()
top = snapshot.statistics("lineno")[0]
print(top.count >= 5000, top.traceback[0].lineno, snapshot.traceback_limit)
import tracemalloc
assert not tracemalloc.is_tracing()
tracemalloc.start()
assert wrasse.snapshot().statistics("lineno")[0].count >= 5000
assert wrasse.snapshot("tracemalloc").statistics("lineno")[0].count < 5000
"""
    result = python("-c", code, WRASSE="trace=3,tracemalloc")
    assert (result.code, result.out, result.err) == (0, "True 3 3\n", "")


MEASURES = """
import threading, wrasse
wrasse.Snapshot
def work():
    for _ in range(700):
        bytes(3000)
    keep.append(bytes(50_000))
    started.set(); done.wait()
keep, started, done = [], threading.Event(), threading.Event()
thread = threading.Thread(target=work, name="the worker"); thread.start(); started.wait()
gone = [bytes(1000) for _ in range(2000)]
del gone
snapshot = wrasse.snapshot()
done.set(); thread.join()

def blocks(snapshot, line, measure, cumulative=False):
    found = snapshot.statistics("lineno", cumulative, measure)
    return sum(s.count for s in found if s.traceback[0].filename == __file__ and s.traceback[0].lineno == line)

def check(snapshot):
    assert [blocks(snapshot, 6, m) for m in ("live", "peak", "allocated")] == [0, 0, 700]
    # The other thread may allocate in between now and then.
    assert 690 < blocks(snapshot, 6, "temporary") <= 700
    assert [blocks(snapshot, 7, m) for m in ("live", "peak", "temporary")][:2] == [2, 2]
    # Besides the blocks, the list, its items, the last number, and before 3.12 a function.
    assert blocks(snapshot, 11, "live") == 0 < 2001 <= blocks(snapshot, 11, "peak") <= 2005
    assert blocks(snapshot, 11, "allocated") > 2005
    main, worker = snapshot.threads()
    assert (main.name, worker.name) == ("MainThread", "the worker"), snapshot.threads()
    assert (main.number, worker.number) == (threading.get_native_id(), thread.native_id)
    assert worker.temporary.blocks > 690 and worker.temporary.size > 690 * 3033
    assert worker.live.size >= 50_000 and worker.peak.size >= 50_000
    for measure in ("live", "peak", "allocated", "temporary"):
        whole = snapshot.statistics("filename", measure=measure)
        for field, key in ("size", "size"), ("blocks", "count"):
            both = sum(getattr(getattr(t, measure), field) for t in (main, worker))
            assert both == sum(getattr(s, key) for s in whole), (measure, field)
check(snapshot)
snapshot.dump("measures.wrasse")
back = wrasse.Snapshot.load("measures.wrasse")
check(back)
for measure in ("live", "peak", "allocated", "temporary"):
    for key in ("lineno", "traceback", "filename"):
        assert back.statistics(key, measure=measure) == snapshot.statistics(key, measure=measure)
more = wrasse.snapshot().compare_to(snapshot, "lineno", measure="allocated")
assert all(each.size_diff >= 0 for each in more) and more[0].size_diff > 0
try:
    snapshot.statistics("lineno", measure="dead")
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("value", ["trace=2", "gc,alloc,trace", "1,trace=25"])
def test_every_measure_counts_exactly(tmp_path: Path, value: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(MEASURES)
    result = python(program, cwd=tmp_path, WRASSE=value)
    words = "unknown measure: \"dead\"; use 'live', 'peak', 'allocated' or 'temporary'\n"
    assert (result.code, result.out, result.err) == (0, words, "")


def test_how_soon_is_temporary_can_be_chosen() -> None:
    code = """
import wrasse
def make():
    for _ in range(300):
        a = bytes(3000); b = bytes(2000); del a, b
make()
found = wrasse.snapshot().statistics("lineno", measure="temporary")
print([s.count // 300 for s in found if s.traceback[0].lineno == 5])
"""
    for words, count in ("", 1), (",temporary=2", 2), (",temporary=100", 2):
        result = python("-c", code, WRASSE=f"trace{words}")
        assert (result.code, result.out, result.err) == (0, f"[{count}]\n", "")
    for words in "temporary=0", "temporary=101", "temporary=x", "temporary":
        result = python("-c", "print(1)", WRASSE=f"trace,{words}")
        assert result.out == "1\n" and "temporary" in result.err
        assert result.err.count("\n") == 1


def test_what_extensions_report_is_there() -> None:
    code = """
import numpy, tracemalloc, wrasse
tracemalloc.start()
data = numpy.zeros(1_000_000)
domain = numpy.lib.tracemalloc_domain
a = wrasse.snapshot().filter_traces([tracemalloc.DomainFilter(True, domain)])
b = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, domain)])
assert a.statistics("lineno") == b.statistics("lineno") and a.statistics("lineno")[0].size == 8_000_000
"""
    pytest.importorskip("numpy")
    for value in ("tracemalloc", ""):
        result = python("-c", code, WRASSE=value)
        assert (result.code, result.err) == (0, "")


def test_wrong_use_is_told_as_tracemalloc_tells_it(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    code = """
import wrasse, tracemalloc
def failure(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return type(error).__name__, str(error)
print(failure(wrasse.snapshot))
print(failure(wrasse.snapshot, "profile")[0], failure(wrasse.snapshot, "other")[0])
tracemalloc.start()
theirs, ours = tracemalloc.take_snapshot(), wrasse.snapshot()
for method, arguments in (
    ("statistics", ("line",)), ("statistics", ("traceback", True)), ("filter_traces", (3,)),
    ("compare_to", (None, "lineno")), ("statistics", (1,)), ("dump", ("none/x",)), ("dump", (3,)),
):
    a, b = (failure(getattr(each, method), *arguments) for each in (theirs, ours))
    assert a[0] == b[0] or method == "compare_to" or arguments == (1,), (a, b)
    if method == "filter_traces":
        assert a == b, (a, b)
for name in ("none", "text", "."):
    print(failure(wrasse.Snapshot.load, name)[0])
print(failure(getattr, wrasse, "nothing")[1])
"""
    result = python("-c", code, cwd=tmp_path, WRASSE="tracemalloc")
    assert result.err == ""
    first, *rest = result.out.splitlines()
    assert first.startswith("('RuntimeError', ") and "nothing records" in first
    assert rest == [
        "RuntimeError ValueError",
        "FileNotFoundError",
        "ValueError",
        "IsADirectoryError",
        "module 'wrasse' has no attribute 'nothing'",
    ]


def test_subinterpreters_have_a_type_of_their_own() -> None:
    code = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
# From 3.13 on tracemalloc cannot be imported where the GIL is the interpreter's own.
number = interpreters.create(*['legacy'] * (sys.version_info >= (3, 13)))
problem = interpreters.run_string(number, '''
import wrasse
keep = [bytes(100) for _ in range(5000)]
assert wrasse.snapshot().statistics("lineno")[0].count > 4000
''')
assert not problem, problem
interpreters.destroy(number)
import wrasse
print(len(wrasse.snapshot().statistics("lineno")) > 1)
"""
    result = python("-c", code, WRASSE="trace")
    assert (result.code, result.out, result.err) == (0, "True\n", "")


def test_importing_wrasse_brings_nothing_more() -> None:
    code = "import sys; import wrasse; print([m for m in sys.modules if 'trace' in m or 'snapshot' in m or m == '__future__'])"
    assert python("-c", code).out == "[]\n"


def test_small_blocks_in_the_place_of_large_ones_are_counted_once() -> None:
    # Blocks above 1 KiB have a second word beside their pool; what it said must not be
    # taken for the first word of smaller blocks that the pool holds later.
    code = """
import wrasse
large = [bytes(3000) for _ in range(20_000)]
del large
small = [object() for _ in range(500_000)]
counts = [each.count for each in wrasse.snapshot().statistics("lineno")]
print(max(counts) < 2**31, 500_000 <= max(counts) < 510_000)
"""
    result = python("-c", code, WRASSE="alloc,trace")
    assert (result.code, result.out, result.err) == (0, "True True\n", "")


def test_threads_one_after_the_other_are_told_apart() -> None:
    """CPython gives the state of one that has ended, and its frames, to the next."""
    code = """
import threading, wrasse
keep = []
def work():
    keep.append(bytearray(100_000))
for number in range(8):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(sum(100_000 < each.live[0] < 190_000 for each in wrasse.snapshot().threads()))
"""
    result = python("-c", code, WRASSE="gc,alloc,trace=5")
    assert (result.code, result.out, result.err) == (0, "8\n", "")


def test_threads_without_the_gil_are_told_apart_after_a_subinterpreter() -> None:
    """From the first subinterpreter on, 3.11's PyGILState_Check says yes to every thread."""
    code = """
import lzma, threading, time, wrasse
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
interpreters.destroy(interpreters.create())
data = lzma.compress(b"x" * 200, preset=0)
end = time.monotonic() + 2
def without():
    while time.monotonic() < end:
        lzma.decompress(data)
def make(number):
    names = {}
    exec(f"def f(a):\\n  return [a] * {number % 7 + 1}\\n", names)
    return names["f"](number)
threads = [threading.Thread(target=without) for _ in range(3)]
for thread in threads:
    thread.start()
while time.monotonic() < end:
    [make(number) for number in range(200)]
for thread in threads:
    thread.join()
snapshot = wrasse.snapshot()
lines = snapshot.statistics("lineno")
print(max(line.size for line in lines) < 1 << 28, max(line.count for line in lines) < 1 << 20)
"""
    result = python("-c", code, WRASSE="gc,alloc,trace=5")
    assert (result.code, result.out, result.err) == (0, "True True\n", "")

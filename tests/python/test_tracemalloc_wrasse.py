"""wrasse's allocation tracer under ``_tracemalloc``, and its own profile beside it.

CPython's test_tracemalloc runs elsewhere (tests/cpython); here is what it does not
ask: exactness against the stock tracer, the independence of the two views, and the
ways in which frames, threads, forks and interpreters could lead the tracer astray.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest
from command import Result, start, wrasse

PROGRAM = '''
import _tracemalloc, asyncio, functools, gc, json, pickle, sys
class Plain:
    def __init__(self, a):
        self.a = a
        self.b = [a]
class Slots:
    __slots__ = ("a",)
def gen(n):
    for i in range(n):
        yield {"i": i, "s": "x" * i}
def closure(n):
    cell = [n]
    def inner():
        nonlocal cell
        cell = cell + [n]
        return cell
    return inner
def rec(n):
    if n == 0:
        return [object() for _ in range(3)]
    return [n, rec(n - 1)]
async def co(n):
    return await co(n - 1) if n else bytearray(777)
def drive(c):
    try:
        c.send(None)
    except StopIteration as e:
        return e.value
def raising(n):
    try:
        if n:
            return raising(n - 1)
        raise ValueError([1] * 50)
    except ValueError as e:
        return e
SOURCE = """
def f(n):
    return [
        n * 1.5
        for n in range(n)
    ]
class C:
    x = list(range(1000))
    def g(self):
        return dict(a=1,
                    b=[2])
"""
def main():
    keep = [[Plain(i) for i in range(200)], [Slots() for i in range(200)]]
    keep.append(list(gen(300)))
    keep.append([closure(i)() for i in range(50)])
    keep.append(rec(60))
    keep.append([drive(co(5)) for i in range(50)])
    names = {}
    exec(compile(SOURCE, "<exec é \\udc80>", "exec"), names)
    keep += [names["f"](500), [names["C"]().g() for i in range(20)], raising(5)]
    keep.append(json.loads(json.dumps([{"a": i, "b": [i, str(i)]} for i in range(300)])))
    grown = []
    for i in range(5000):
        grown.append(i + 100000)
    table = {}
    for i in range(3000):
        table[i] = float(i)
    for i in range(0, 3000, 2):
        del table[i]
    cached = functools.lru_cache(None)(lambda x: [x])
    for i in range(100):
        cached(i)
    suspended = gen(10)
    next(suspended)
    keep += [grown, table, cached, suspended, map(lambda x: x, [1, 2])]
    keep += [{str(i) for i in range(500)}, bytes(10**6), "é" * 1000, tuple(range(300, 400))]
    return keep
sys.setrecursionlimit(3000)
main()
gc.collect()
gc.disable()
_tracemalloc.start(int(sys.argv[1]))
kept = main()
memory = _tracemalloc.get_traced_memory()
traces = _tracemalloc._get_traces()
owners = [_tracemalloc._get_object_traceback(x) for x in kept]
_tracemalloc.stop()
with open(sys.argv[2], "wb") as out:
    pickle.dump((memory, traces, owners, type(_tracemalloc.start.__doc__)), out)
'''


def run(program: str, **changes: str) -> Result:
    """Run a program with wrasse's tracer under tracemalloc."""
    source = textwrap.dedent(program)
    changes = {"WRASSE": "tracemalloc", **changes}
    return start(["-X", "faulthandler", "-c", source], None, None, **changes)


def passes(program: str, **changes: str) -> str:
    """Run a program that must end well, and return what it printed."""
    done = run(program, **changes)
    assert done.code == 0, done.err
    assert "wrasse:" not in done.err, done.err
    return done.out


def profiled(tmp_path: Path, option: str, program: str) -> tuple[Result, dict]:
    """Run a program under ``wrasse run --trace…``; its result and the trace of its summary."""
    summary = tmp_path / "summary.json"
    source = textwrap.dedent(program)
    done = wrasse("run", "--quiet", option, "--json", summary, "-c", source)
    assert done.code == 0, done.err
    return done, json.loads(summary.read_text())["trace"]


def line_total(trace: dict, line: int) -> tuple[int, int]:
    """Bytes and blocks that the profile found at a line of the program."""
    for each in trace["top"]:
        if each["file"] == "<string>" and each["line"] == line:
            return each["bytes"], each["blocks"]
    return 0, 0


def test_the_functions_are_ours() -> None:
    out = passes(
        """
        import _tracemalloc
        from wrasse import _core
        before = _core.proof()
        _tracemalloc.start()
        _tracemalloc.stop()
        print(_core.proof() != before)
        """
    )
    assert out == "True\n"


@pytest.mark.parametrize("frames", [1, 10, 25, 500])
@pytest.mark.parametrize(
    "words", ["tracemalloc", "gc,alloc,tracemalloc", "gc,alloc,tracemalloc,trace=25"]
)
def test_exact_against_stock(tmp_path: Path, words: str, frames: int) -> None:
    """Same blocks, sizes, tracebacks, totals and figures as the stock tracer.

    Accepted: a few objects in ten thousand whose memory waits in a free list
    before tracing begins in one process and not in the other, since turning
    wrasse on makes and drops objects too.
    """
    import collections
    import pickle

    found = {}
    for mode in ("0", words):
        out = tmp_path / mode
        arguments = ["-c", PROGRAM, str(frames), str(out)]
        done = start(arguments, None, None, WRASSE=mode, PYTHONHASHSEED="0")
        assert done.code == 0, done.err
        found[mode] = pickle.loads(out.read_bytes())
    stock, ours = found["0"], found[words]
    expected, seen = collections.Counter(stock[1]), collections.Counter(ours[1])
    assert len(stock[1]) > 10_000
    missing, extra = expected - seen, seen - expected
    assert missing.total() <= 5 and extra.total() <= 5, (missing, extra)
    assert all(size <= 512 for _, size, *_ in [*missing, *extra])
    assert ours[2] == stock[2]
    for figure, other in zip(stock[0], ours[0], strict=True):
        assert abs(figure - other) < 2000
    depth = {total for *_, total in ours[1]}
    assert max(depth) > 60 and min(depth) == 1
    assert max(len(traceback) for _, _, traceback, _ in ours[1]) == min(frames, max(depth))


def test_the_same_traceback_is_the_same_object() -> None:
    passes(
        """
        import _tracemalloc
        _tracemalloc.start(5)
        kept = [bytes(100) for _ in range(10)]
        traces = [t for t in _tracemalloc._get_traces() if t[1] == 133]
        assert len(traces) == 10 and len({id(t[2]) for t in traces}) == 1, traces
        """
    )


def test_two_views_do_not_disturb_each_other(tmp_path: Path) -> None:
    _done, trace = profiled(
        tmp_path,
        "--trace=3",
        """\
        import tracemalloc
        before = [bytes(1000) for _ in range(1000)]
        assert not tracemalloc.is_tracing() and tracemalloc.get_traced_memory() == (0, 0)
        assert tracemalloc.get_object_traceback(before) is None
        tracemalloc.start(1)
        during = [bytes(1000) for _ in range(2000)]
        assert tracemalloc.get_object_traceback(before[0]) is None
        assert 2_000_000 < tracemalloc.get_traced_memory()[0] < 2_200_000
        tracemalloc.clear_traces()
        assert tracemalloc.get_traced_memory()[0] < 1000
        assert tracemalloc.get_object_traceback(during[0]) is None
        after = [bytes(1000) for _ in range(3000)]
        tracemalloc.stop()
        assert tracemalloc.get_traced_memory() == (0, 0)
        late = [bytes(1000) for _ in range(4000)]
        tracemalloc.start()
        assert tracemalloc.get_traced_memory()[0] < 1000
        """,
    )
    for line, count in ((2, 1000), (6, 2000), (12, 3000), (15, 4000)):
        size, blocks = line_total(trace, line)
        assert count <= blocks <= count + 2, trace
        assert count * 1033 <= size <= count * 1033 + 20 * count, trace
    assert trace["peak_bytes"] >= trace["current_bytes"] > 10_000_000


def test_views_have_their_own_limits(tmp_path: Path) -> None:
    _done, trace = profiled(
        tmp_path,
        "--trace=50",
        """\
        import _tracemalloc
        def one(n):
            return deep(n)
        def other(n):
            return deep(n)
        def deep(n):
            return deep(n - 1) if n else bytes(12345)
        _tracemalloc.start(2)
        kept = [one(5), other(5), other(9)]
        traces = [t for t in _tracemalloc._get_traces() if t[1] == 12378]
        assert [len(t[2]) for t in traces] == [2, 2, 2]
        assert sorted(t[3] for t in traces) == [8, 8, 12]
        # Two calls from different places are one traceback where the view ends.
        assert len({id(t[2]) for t in traces}) == 2, traces
        assert _tracemalloc._get_object_traceback(kept[0]) == (("<string>", 7), ("<string>", 7))
        assert _tracemalloc.get_traceback_limit() == 2
        """,
    )
    assert line_total(trace, 7) == (3 * 12378, 3)


def test_limit_and_total_at_the_extremes() -> None:
    passes(
        """
        import _tracemalloc, sys
        def deep(n):
            if n:
                return deep(n - 1)
            _tracemalloc.start(limit)
            return bytes(12345)
        sys.setrecursionlimit(100_000)
        for limit in (1, 65535):
            kept = deep(70_000)
            (trace,) = [t for t in _tracemalloc._get_traces() if t[1] == 12378]
            assert len(trace[2]) == limit, len(trace[2])
            assert trace[3] == 65535
            _tracemalloc.stop()
        """
    )


def test_fork() -> None:
    passes(
        """
        import os, threading, tracemalloc
        stop = False
        def churn():
            while not stop:
                [bytes(600) for _ in range(50)]
        tracemalloc.start(3)
        threads = [threading.Thread(target=churn) for _ in range(2)]
        [t.start() for t in threads]
        kept = [bytes(1000) for _ in range(100)]
        for _ in range(20):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    assert tracemalloc.is_tracing()
                    assert tracemalloc.get_object_traceback(kept[0])[0].lineno == 10
                    mine = [bytes(1000) for _ in range(1000)]
                    assert tracemalloc.get_object_traceback(mine[5])[0].lineno == 18
                    tracemalloc.stop()
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop = True
        [t.join() for t in threads]
        """
    )


def test_threads_use_all_three_allocators() -> None:
    """RAW without the GIL, MEM and OBJ with it, while views start and stop."""
    passes(
        """
        import ctypes, threading, tracemalloc, sys
        raw = ctypes.CDLL(None)          # gives up the GIL around each call
        api = ctypes.PyDLL(None)
        for library, names in ((raw, ("PyMem_Raw",)), (api, ("PyMem_", "PyObject_"))):
            for name in names:
                get = getattr(library, name + "Malloc")
                get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
                more = getattr(library, name + "Realloc")
                more.restype, more.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t]
                getattr(library, name + "Free").argtypes = [ctypes.c_void_p]
        sets = [
            (raw.PyMem_RawMalloc, raw.PyMem_RawRealloc, raw.PyMem_RawFree),
            (api.PyMem_Malloc, api.PyMem_Realloc, api.PyMem_Free),
            (api.PyObject_Malloc, api.PyObject_Realloc, api.PyObject_Free),
        ]
        sys.setswitchinterval(1e-5)
        failures = []
        def hammer(seed):
            try:
                get, more, free = sets[seed % 3]
                live = []
                for i in range(3000):
                    live.append(get((i * 37 + seed) % 3000 + 1))
                    live[i // 2] = more(live[i // 2], (i * 53) % 5000 + 1)
                for block in live:
                    free(block)
            except BaseException as e:
                failures.append(e)
        threads = [threading.Thread(target=hammer, args=(n,)) for n in range(9)]
        tracemalloc.start(4)
        [t.start() for t in threads]
        for _ in range(30):
            tracemalloc.take_snapshot()
            tracemalloc.clear_traces()
            tracemalloc.stop()
            tracemalloc.start(2)
        [t.join() for t in threads]
        assert not failures, failures
        tracemalloc.stop()
        tracemalloc.start(4)
        again = [threading.Thread(target=hammer, args=(n,)) for n in range(9)]
        [t.start() for t in again]
        [t.join() for t in again]
        lost = [s for s in tracemalloc.take_snapshot().statistics("lineno")
                if s.traceback[0].filename == "<string>" and s.size > 100_000]
        assert not lost, lost
        assert not failures, failures
        """
    )


@pytest.mark.parametrize("frames", [1, 25])
def test_zeroed_blocks_are_zeros_and_counted(frames: int) -> None:
    passes(
        """
        import array, ctypes, gc, wrasse
        gc.disable()  # else what is left on free lists may belong to the line
        api, pointer, number = ctypes.PyDLL(None), ctypes.c_void_p, ctypes.c_size_t
        def function(name, result, *arguments):
            found = getattr(api, name)
            found.restype, found.argtypes = result, arguments
            return found
        sizes = [0, 1, 7, 16, 48, 500, 1000, 1024, 1025, 5000, 8192, 9000] * 100
        blocks = array.array("Q", [0]) * len(sizes)
        def take(place, count, size):
            blocks[place] = calloc(count, size)
        line = take.__code__.co_firstlineno + 1
        def seen():
            for found in wrasse.snapshot().statistics("lineno"):
                if (found.traceback[0].filename, found.traceback[0].lineno) == ("<string>", line):
                    return found.size, found.count
            return 0, 0
        for domain in ("PyMem_", "PyObject_"):
            malloc = function(domain + "Malloc", pointer, number)
            calloc = function(domain + "Calloc", pointer, number, number)
            free = function(domain + "Free", None, pointer)
            for size in sizes:  # so that none is zeros by chance, and all is quick
                block = malloc(size)
                ctypes.memset(block, 255, size)
                free(block)
            take(0, 1, 8)
            free(blocks[0])
            bytes_before, count_before = seen()
            for place, size in enumerate(sizes):
                if place % 2:
                    take(place, size, 1)
                else:
                    take(place, 1, size)
            for block, size in zip(blocks, sizes):
                assert ctypes.string_at(block, size) == bytes(size), size
            assert seen() == (bytes_before + sum(sizes), count_before + len(sizes))
            for block in blocks:
                free(block)
            assert seen() == (bytes_before, count_before)
        """,
        WRASSE=f"gc,alloc,trace={frames}",
    )


def test_raw_memory_without_the_gil_has_a_traceback() -> None:
    passes(
        """
        import ctypes, tracemalloc
        raw = ctypes.CDLL(None)
        raw.PyMem_RawMalloc.restype = ctypes.c_void_p
        raw.PyMem_RawFree.argtypes = [ctypes.c_void_p]
        def take():
            return raw.PyMem_RawMalloc(54321)
        tracemalloc.start(3)
        block = take()
        (trace,) = [t for t in tracemalloc.take_snapshot().traces if t.size == 54321]
        assert [f.lineno for f in trace.traceback] == [9, 7], trace.traceback
        before = tracemalloc.get_traced_memory()[0]
        raw.PyMem_RawFree(block)
        assert before - tracemalloc.get_traced_memory()[0] > 50_000
        """
    )


INTERPRETERS = """
import sys, threading, tracemalloc
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    shared = lambda: interpreters.create("legacy")
else:
    import _xxsubinterpreters as interpreters
    shared = lambda: interpreters.create(isolated=False)
def run(one, program):
    failed = interpreters.run_string(one, program)
    assert failed is None, failed
    interpreters.destroy(one)
def spread(work, count):
    done = []
    def wrapped():
        for _ in range(3):
            work()
        done.append(True)
    threads = [threading.Thread(target=wrapped) for _ in range(count)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(done) == count
"""


def test_subinterpreters_share_the_tracer() -> None:
    """Frames shown are those of the interpreter that allocates."""
    program = """if True:
        import tracemalloc
        assert tracemalloc.is_tracing()
        kept = [bytes(1000) for _ in range(300)]
        owner = tracemalloc.get_object_traceback(kept[7])
        assert owner is not None and owner[-1].lineno == 4, owner
        tracemalloc.take_snapshot()
    """
    passes(
        INTERPRETERS
        + f"""
tracemalloc.start(3)
spread(lambda: run(shared(), {program!r}), 1)
spread(lambda: run(shared(), {program!r}), 4)
"""
    )


def test_interpreters_with_their_own_gil_allocate_in_parallel() -> None:
    program = """if True:
        def build(n):
            return [{str(i): [i] * (i % 300)} for i in range(n)]
        for _ in range(20):
            build(300)
        made = {}
        exec("def f(): return bytes(700)", made)
        made["f"]()
    """
    done = run(
        INTERPRETERS
        + f"""
tracemalloc.start(5)
spread(lambda: run(interpreters.create(), {program!r}), 4)
before = tracemalloc.get_traced_memory()[0]
tracemalloc.take_snapshot()
tracemalloc.stop()
print(before < 5_000_000)
"""
    )
    assert (done.code, done.out) == (0, "True\n"), done.err


def test_memory_reported_by_extensions() -> None:
    """PyTraceMalloc_Track and _Untrack, by somebody who asks the linker for them."""
    passes(
        """
        import ctypes, tracemalloc
        api = ctypes.pythonapi
        api.PyTraceMalloc_Track.argtypes = [ctypes.c_uint, ctypes.c_size_t, ctypes.c_size_t]
        api.PyTraceMalloc_Untrack.argtypes = [ctypes.c_uint, ctypes.c_size_t]
        domain = 389047
        assert api.PyTraceMalloc_Track(domain, 0x1000, 4096) == -2
        tracemalloc.start(2)
        before = tracemalloc.get_traced_memory()[0]
        assert api.PyTraceMalloc_Track(domain, 0x1000, 1 << 20) == 0
        assert tracemalloc.get_traced_memory()[0] - before > 1 << 20
        mine = [t for t in tracemalloc.take_snapshot().traces if t.domain == domain]
        assert [(t.size, t.traceback[-1].lineno) for t in mine] == [(1 << 20, 10)], mine
        assert api.PyTraceMalloc_Untrack(domain, 0x1000) == 0
        assert not [t for t in tracemalloc.take_snapshot().traces if t.domain == domain]
        assert api.PyTraceMalloc_Track(domain, 0x2000, 1) == 0
        tracemalloc.clear_traces()
        assert not [t for t in tracemalloc.take_snapshot().traces if t.domain == domain]
        tracemalloc.stop()
        assert api.PyTraceMalloc_Untrack(domain, 0x1000) == -2
        """
    )


EXTENSION = """
import ctypes, sys, tracemalloc
import _testcapi
if sys.version_info >= (3, 13):
    from _testinternalcapi import _PyTraceMalloc_GetTraceback as owner
else:
    from _testcapi import tracemalloc_get_traceback as owner
from _testcapi import tracemalloc_track as track, tracemalloc_untrack as untrack
raw = ctypes.pythonapi
raw.PyMem_RawMalloc.restype = ctypes.c_void_p
raw.PyMem_RawMalloc.argtypes = raw.PyMem_RawFree.argtypes = [ctypes.c_size_t]
raw.PyMem_RawRealloc.restype = ctypes.c_void_p
raw.PyMem_RawRealloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def see(*blocks):
    # All that is big, the owners, and the figures in units of 100 KB.
    big = [(t.domain, t.size, t.traceback[-1].lineno, t.traceback.total_nframe)
           for t in tracemalloc.take_snapshot().traces if t.size >= 100_000]
    figures = [n // 100_000 for n in tracemalloc.get_traced_memory()]
    print(sorted(big), [owner(*block) for block in blocks], figures)
def fails(call, *arguments):
    try:
        call(*arguments)
    except RuntimeError as e:
        print(e)
before = raw.PyMem_RawMalloc(1_000_000)
fails(track, 0, before, 1_000_000)
fails(untrack, 0, before)
tracemalloc.start(5)
block = raw.PyMem_RawMalloc(3_000_000)
see((0, block))
untrack(0, block)
see((0, block))
untrack(0, block)
track(7, block, 3_000_000)
see((0, block), (7, block))
track(7, block, 2_500_000)
track(8, 2**60 + 5, 400_000)
track(0, 2**60 + 5, 500_000)
track(0, 0, 600_000)
track(0, before, 1_000_000)
see((0, before), (7, block), (8, block), (8, 2**60 + 5), (0, 2**60 + 5), (0, 0))
track(0, block, 3_000_000, True)
tracemalloc.reset_peak()
see((0, block), (7, block))
untrack(0, block)
block = raw.PyMem_RawRealloc(block, 3_500_000)
see((0, block))
untrack(0, block)
raw.PyMem_RawFree(block)
untrack(7, block)
untrack(8, 2**60 + 5)
see((0, block), (7, block))
tracemalloc.clear_traces()
see((0, before), (0, 0))
track(9, before, 800_000)
see((9, before))
tracemalloc.stop()
print(owner(9, before))
fails(track, 9, before, 800_000)
fails(untrack, 9, before)
tracemalloc.start()
see((9, before))
"""


def test_an_extension_is_heard_as_by_stock() -> None:
    """Blocks that an extension module reports or takes back, domain 0 included."""
    pytest.importorskip("_testcapi")
    pytest.importorskip("_testinternalcapi")
    stock = start(["-c", EXTENSION], None, None)
    assert stock.code == 0 and stock.out.count("error") == 4, stock
    assert passes(EXTENSION) == stock.out


def test_an_extension_may_name_an_address_where_no_block_is() -> None:
    """The addresses that the allocator holds for later are no less good than any others."""
    pytest.importorskip("_testcapi")
    program = """\
        import tracemalloc
        from _testcapi import tracemalloc_track as track, tracemalloc_untrack as untrack
        ranges = []
        with open("/proc/self/maps") as maps:
            for line in maps:
                if " ---p " in line:
                    begin, end = (int(word, 16) for word in line.split()[0].split("-"))
                    ranges.append((end - begin, begin))
        length, begin = max(ranges)
        assert length >= 1 << 24, length
        address = begin + length // 2 & ~15
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        track(9, address, 1_000_000)
        track(0, address, 10_000_000)
        assert 11_000_000 <= tracemalloc.get_traced_memory()[0] - before < 12_000_000
        untrack(9, address)
        untrack(0, address)
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
        """
    done = start(["-c", textwrap.dedent(program)], None, None, WRASSE="alloc,tracemalloc")
    assert (done.code, done.err) == (0, "")


def test_what_an_extension_takes_back_stays_in_the_profile(tmp_path: Path) -> None:
    pytest.importorskip("_testcapi")
    _done, trace = profiled(
        tmp_path,
        "--trace",
        """\
        import ctypes, tracemalloc
        from _testcapi import tracemalloc_track, tracemalloc_untrack
        get = ctypes.pythonapi.PyMem_RawMalloc
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        tracemalloc.start()
        block = get(3_000_000)
        other = get(5_000_000)
        tracemalloc_untrack(0, block)
        tracemalloc_track(7, block, 4_000_000)
        assert 9_000_000 <= tracemalloc.get_traced_memory()[0] < 9_100_000
        tracemalloc.stop()
        """,
    )
    assert line_total(trace, 6)[0] >= 3_000_000
    assert line_total(trace, 7)[0] >= 5_000_000
    assert line_total(trace, 9)[0] < 100_000


NUMPY = """
import json, tracemalloc
if {early}:
    import numpy
tracemalloc.start(2)
import numpy
tracemalloc.clear_traces()
kept = [numpy.ones(1000) for _ in range(1000)]
big = numpy.zeros(10_000_000)
del big
grown = numpy.arange(10_000)
grown.resize(200_000, refcheck=False)
kept += [grown, grown[::2], grown.astype("f4"), numpy.empty((300, 300), object)]
del kept[:100]
figures = tracemalloc.get_traced_memory()
domain = getattr(numpy.lib, "tracemalloc_domain", 389047)
by = {{}}
for trace in tracemalloc.take_snapshot().traces:
    frame = trace.traceback[-1]
    if frame.filename == "<string>" and trace.size >= 8000:
        key = trace.domain == domain, frame.lineno
        size, count = by.get(key, (0, 0))
        by[key] = size + trace.size, count + 1
print(json.dumps([figures, sorted(by.items())]))
"""


@pytest.mark.parametrize("early", [True, False])
def test_numpy_arrays_are_counted_once(early: bool) -> None:
    pytest.importorskip("numpy")
    program = NUMPY.format(early=early)
    stock = start(["-c", program], None, None)
    assert stock.code == 0, stock
    expected, blocks = json.loads(stock.out)
    figures, seen = json.loads(passes(program))
    assert any(is_numpy for (is_numpy, _line), _found in blocks), blocks
    assert seen == blocks
    for one, other in zip(figures, expected, strict=True):
        assert abs(one - other) < 20_000, (figures, expected)


def test_lines_stay_right_when_code_dies() -> None:
    """Code objects come and go at the same addresses with other lines and files."""
    passes(
        """
        import tracemalloc
        tracemalloc.start(2)
        addresses, kept, source = set(), [], "def f():\\n return bytes(700)\\n"
        for i in range(2000):
            names = {}
            first = i % 50 + 1
            name = f"<made {i % 7}>"
            exec(compile("\\n" * (first - 1) + source, name, "exec"), names)
            block = names["f"]()
            addresses.add(id(names["f"].__code__))
            owner = tracemalloc.get_object_traceback(block)
            assert (owner[-1].filename, owner[-1].lineno) == (name, first + 1), (i, owner)
            assert owner[-2].lineno == 10, owner
            if i % 3 == 0:
                kept.append(names["f"])
        assert len(addresses) < 2000, "no address was ever used again"
        """
    )


def test_file_names_of_every_kind() -> None:
    passes(
        """
        import tracemalloc
        class Name(str):
            pass
        tracemalloc.start(1)
        names = ["plain", "é", "π", "\\U0001f41f", "\\udc80", "", "x" * 10_000]
        names += [Name("sub"), Name("π")]
        for name in names:
            code = compile("kept = bytes(700)", "<string>", "exec").replace(co_filename=name)
            space = {}
            exec(code, space)
            (frame,) = tracemalloc.get_object_traceback(space["kept"])
            assert frame.filename == name, (frame, name)
        """
    )


def test_a_fresh_copy_of_the_module_is_ours_too() -> None:
    passes(
        """
        import importlib, sys, tracemalloc
        import _tracemalloc
        old = _tracemalloc
        tracemalloc.start(3)
        kept = bytes(5000)
        del sys.modules["_tracemalloc"], sys.modules["tracemalloc"]
        import _tracemalloc as fresh
        import tracemalloc as other
        assert fresh.is_tracing() and fresh.get_traceback_limit() == 3
        assert fresh._get_object_traceback(kept) == old._get_object_traceback(kept) != None
        assert other.get_object_traceback(kept)
        importlib.reload(fresh)
        assert fresh.is_tracing() and fresh.get_traced_memory()[0] > 5000
        other.stop()
        assert not old.is_tracing() and not tracemalloc.is_tracing()
        """
    )


def test_tracing_from_the_command_line_goes_on_with_ours() -> None:
    out = passes(
        """
        import tracemalloc
        assert tracemalloc.is_tracing()
        kept = bytes(5000)
        assert tracemalloc.get_object_traceback(kept)
        print(tracemalloc.get_traceback_limit())
        """,
        PYTHONTRACEMALLOC="7",
    )
    assert out == "7\n"


def test_a_resource_warning_says_where_the_object_came_from() -> None:
    done = run(
        """
        import tracemalloc, warnings
        warnings.simplefilter("always")
        tracemalloc.start(2)
        def lose():
            open("/dev/null")
        lose()
        """
    )
    assert "Object allocated at (most recent call last)" in done.err, done.err
    assert '"<string>", lineno 6' in done.err, done.err


def test_other_hooks_in_front_of_ours_stay() -> None:
    """Somebody wraps our hooks: stop leaves theirs alone, start does not hook twice."""
    passes(
        """
        import ctypes, tracemalloc
        api = ctypes.pythonapi
        class Allocator(ctypes.Structure):
            names = ("ctx", "malloc", "calloc", "realloc", "free")
            _fields_ = [(name, ctypes.c_void_p) for name in names]
        def get(domain):
            found = Allocator()
            api.PyMem_GetAllocator(domain, ctypes.byref(found))
            return found
        plain = get(0)
        tracemalloc.start()
        hooked = get(0)
        assert hooked.malloc != plain.malloc
        calls = []
        forward = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(hooked.malloc)
        @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        def count(ctx, size):
            if size == 7654321:
                calls.append(size)
            return forward(ctx, size)
        theirs = Allocator(hooked.ctx, ctypes.cast(count, ctypes.c_void_p).value,
                           hooked.calloc, hooked.realloc, hooked.free)
        api.PyMem_SetAllocator(0, ctypes.byref(theirs))
        api.PyMem_RawMalloc.restype = ctypes.c_void_p
        api.PyMem_RawFree.argtypes = [ctypes.c_void_p]
        def one():
            api.PyMem_RawFree(api.PyMem_RawMalloc(7654321))
        tracemalloc.stop()
        assert get(0).malloc == theirs.malloc
        one()
        tracemalloc.start()
        assert get(0).malloc == theirs.malloc
        block = api.PyMem_RawMalloc(7654321)
        assert [t.size for t in tracemalloc.take_snapshot().traces].count(7654321) == 1
        api.PyMem_RawFree(block)
        assert len(calls) == 2
        api.PyMem_SetAllocator(0, ctypes.byref(hooked))
        tracemalloc.stop()
        assert get(0).malloc == plain.malloc
        """
    )


def test_tracing_to_the_very_end() -> None:
    """Finalizers at shutdown allocate while modules and thread states go away."""
    done = run(
        """
        import gc, sys, threading, time, tracemalloc
        class Last:
            def __del__(self):
                self.late = [bytes(1000) for _ in range(100)]
        sys.last = Last()
        cycle = Last()
        cycle.me = cycle
        def idle():
            while True:
                time.sleep(0.0001)
                [bytes(600) for _ in range(20)]
        [threading.Thread(target=idle, daemon=True).start() for _ in range(4)]
        tracemalloc.start(25)
        time.sleep(0.05)
        print("end")
        """
    )
    assert (done.code, done.out, done.err) == (0, "end\n", "")


def test_own_tables_are_counted() -> None:
    passes(
        """
        import tracemalloc
        tracemalloc.start()
        before = tracemalloc.get_tracemalloc_memory()
        kept = [bytes(100) for _ in range(100_000)]
        grown = tracemalloc.get_tracemalloc_memory() - before
        assert 16 * 100_000 < grown < 64 * 100_000, grown
        """
    )


def test_what_is_known_about_a_block_takes_less_than_five_bytes() -> None:
    """Where wrasse's allocator serves it, whatever its size."""
    passes(
        """
        import tracemalloc
        tracemalloc.start()
        kept = [None] * 400_000
        before = tracemalloc.get_tracemalloc_memory()
        for place in range(0, len(kept), 4):
            kept[place] = bytes(32)
            kept[place + 1] = bytes(48)
            kept[place + 2] = bytes(64)
            kept[place + 3] = bytes(80)
        grown = tracemalloc.get_tracemalloc_memory() - before
        assert 4 * len(kept) < grown < 5 * len(kept), grown
        """,
        WRASSE="gc,alloc,tracemalloc",
    )


def test_pools_that_come_to_have_other_sizes() -> None:
    """What was known about a pool's blocks is not taken for what is known of later ones."""
    passes(
        """
        import tracemalloc
        def fill(kept, size):
            for place in range(len(kept)):
                kept[place] = bytes(size)
        line = fill.__code__.co_firstlineno + 2
        def check(kept, size):
            snapshot = tracemalloc.take_snapshot()
            found = [t.size for t in snapshot.traces if t.traceback[0].lineno == line]
            assert found == [size + 33] * len(kept), (size, len(found), set(found))
        # Some are there before, so that their pools are known of in part.
        before = [bytes(size) for size in (40, 90, 900, 2000, 7000) for _ in range(700)]
        tracemalloc.start()
        for size in (40, 900, 91, 2000, 40, 7000, 1000, 90, 3000, 16, 1500) * 2:
            kept = [None] * 3000
            fill(kept, size)
            check(kept, size)
            del kept[::3], before[::5]
            check(kept, size)
            kept.clear()
            check(kept, size)
            if size == 7000:
                tracemalloc.clear_traces()  # also while blocks of before are alive
        """,
        WRASSE="gc,alloc,tracemalloc",
    )


def test_blocks_known_before_there_is_room_for_words_are_found() -> None:
    """A limit on what may be written to leaves no addresses for words, until it is lifted."""
    program = """if True:
        import resource, tracemalloc, wrasse
        def fill(count):
            return [bytes(200) for _ in range(count)]
        def seen():
            lines = wrasse.snapshot().statistics("lineno")
            found = [s.size for s in lines if s.traceback[0].lineno == 4]
            return sum(found) // (200 + 33)
        before = fill(5000)
        assert seen() >= 5000
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        tracemalloc.start()
        after = fill(5000)
        assert seen() >= 10_000
        del before
        assert 5000 <= seen() < 5300, seen()
        del after
        assert seen() < 100, seen()
    """
    limited = """if True:
        import os, resource, sys
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, most))
        os.environ["WRASSE"] = "gc,alloc,tracemalloc,trace=1"
        os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
    """
    done = start(["-c", limited, program], None, None)
    assert (done.code, done.out, done.err) == (0, "", "")


ALLOCATORS = """
import ctypes, sys, tracemalloc
api = ctypes.PyDLL(None)
pointer = ctypes.c_void_p
class Allocator(ctypes.Structure):
    _fields_ = [(name, pointer) for name in ("ctx", "malloc", "calloc", "realloc", "free")]
def get(domain):
    found = Allocator()
    api.PyMem_GetAllocator(domain, ctypes.byref(found))
    return found
api.PyMem_RawMalloc.restype = pointer
api.PyMem_RawFree.argtypes = [pointer]
"""


def test_a_tool_that_passes_on_some_blocks_only() -> None:
    """It cannot be told from one that passes on none: wrapping it must not loop."""
    passes(
        ALLOCATORS
        + """
room = ctypes.create_string_buffer(1 << 20)
first, used = ctypes.addressof(room), 0
take_type = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_size_t)
grow_type = ctypes.CFUNCTYPE(pointer, pointer, pointer, ctypes.c_size_t)
give_type = ctypes.CFUNCTYPE(None, pointer, pointer)
tracemalloc.start()
hooked = get(0)
next_take = take_type(hooked.malloc)
next_grow = grow_type(hooked.realloc)
next_give = give_type(hooked.free)
@take_type
def take(ctx, size):
    global used
    if size > 64 or used >= 1 << 20:
        return next_take(ctx, size)
    used += 64
    return first + used - 64
@grow_type
def grow(ctx, block, size):
    if block is None:
        return take(ctx, size)
    if not first <= block < first + (1 << 20):
        return next_grow(ctx, block, size)
    if size > 64 and (moved := next_take(ctx, size)):
        return ctypes.memmove(moved, block, 64)
    return block if size <= 64 else None
@give_type
def give(ctx, block):
    if block is not None and not first <= block < first + (1 << 20):
        next_give(ctx, block)
theirs = Allocator(hooked.ctx, ctypes.cast(take, pointer).value, hooked.calloc,
                   ctypes.cast(grow, pointer).value, ctypes.cast(give, pointer).value)
api.PyMem_SetAllocator(0, ctypes.byref(theirs))
for _ in range(10):
    tracemalloc.stop()
    tracemalloc.start()
    block = api.PyMem_RawMalloc(7654321)
    sizes = [t.size for t in tracemalloc.take_snapshot().traces]
    assert sizes.count(7654321) == 1
    api.PyMem_RawFree(block)
tracemalloc.stop()
api.PyMem_SetAllocator(0, ctypes.byref(hooked))
"""
    )


@pytest.mark.skipif(sys.version_info < (3, 13), reason="there is no such listener")
def test_a_listener_that_passes_events_on_to_ours() -> None:
    passes(
        """
        import ctypes, mmap, struct, tracemalloc
        api = ctypes.PyDLL(None)
        pointer = ctypes.c_void_p
        api.PyRefTracer_GetTracer.restype = pointer
        api.PyRefTracer_SetTracer.argtypes = [pointer, pointer]
        def listener():
            return api.PyRefTracer_GetTracer(ctypes.byref(pointer()))
        tracemalloc.start()
        ours = listener()
        # A function that calls ours and nothing else: mov rax, ours; jmp rax.
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\\x48\\xb8" + struct.pack("<Q", ours) + b"\\xff\\xe0")
        theirs = ctypes.addressof(ctypes.c_char.from_buffer(code))
        assert api.PyRefTracer_SetTracer(theirs, None) == 0
        for _ in range(3):
            tracemalloc.stop()
            assert listener() == theirs
            reused = [[] for _ in range(50)]
            del reused
            tracemalloc.start()
            assert listener() == theirs
            warm = [[] for _ in range(200)]
            del warm
            kept = [[] for _ in range(50)]
            assert tracemalloc.get_object_traceback(kept[-1])[0].lineno == 25
        assert api.PyRefTracer_SetTracer(ours, None) == 0
        tracemalloc.stop()
        assert not listener()
        """
    )


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="crashes without any tracer")
def test_big_blocks_allocated_without_the_gil() -> None:
    """Against the rules, but it works on 3.11, so it must under the tracer."""
    passes(
        """
        import ctypes, threading, tracemalloc
        free = ctypes.CDLL(None)                 # gives up the GIL around each call
        free.PyMem_Malloc.restype = ctypes.c_void_p
        free.PyMem_Free.argtypes = [ctypes.c_void_p]
        def work():
            for _ in range(20_000):
                free.PyMem_Free(free.PyMem_Malloc(5000))
        def nest(n):
            if n:
                yield from nest(n - 1)
            yield [n] * 70
        tracemalloc.start(20)
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        while any(t.is_alive() for t in threads):
            list(nest(20))
        """
    )


def test_a_profile_does_not_start_on_top_of_the_stock_tracer() -> None:
    """Stopping that one would silently take the profile's hooks out."""
    done = start(
        ["-c", "import wrasse; print(wrasse.status()['profile'])"],
        None,
        None,
        WRASSE="trace",
        PYTHONTRACEMALLOC="1",
    )
    assert done.code == 0
    assert done.out.startswith("off: CPython's own tracer is on"), done.out
    assert done.err.count("\n") == 1 and "the profile stays off" in done.err

"""Small objects on wrasse's allocator: where it serves, where it stays out, and its limit."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

STOCK = {
    name: value
    for name, value in os.environ.items()
    if name != "WRASSE" and not name.startswith("PYTHON")
}


def run(code, words="alloc", *flags, **changes):
    """Runs ``code`` in a fresh interpreter with ``WRASSE=words``; returns its finished process."""
    environment = {**STOCK, "WRASSE": words, **changes}
    command = [sys.executable, *flags, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def check(code, words="alloc", *flags, **changes):
    """As ``run``; the program must end well and say nothing on standard error."""
    result = run(code, words, *flags, **changes)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


def test_it_serves_blocks_and_says_so():
    out = check(
        """
        import sys, wrasse
        print(wrasse.status()["alloc"])
        before = sys.getallocatedblocks()
        kept = [object() for _ in range(10_000)]
        print(10_000 <= sys.getallocatedblocks() - before <= 10_100)
        del kept
        print(abs(sys.getallocatedblocks() - before) < 100)
        print(sys.getallocatedblocks.__self__ is sys, sys.getallocatedblocks.__module__)
        """
    )
    assert out.split() == ["wrasse", "True", "True", "True", "sys"]


def test_stock_statistics_keep_their_heads():
    code = "import sys; kept = [object() for _ in range(100_000)]; sys._debugmallocstats()"
    ours, stock = run(code).stderr, run(code, "0").stderr
    head = re.compile(r"^class +size +num pools +blocks in use +avail blocks$", re.MULTILINE)
    for text in (ours, stock):
        assert "Small block threshold = " in text
        assert head.search(text)
        assert "free PyDictObjects" in text
    row = next(line.split() for line in ours.splitlines() if line.split()[:2] == ["0", "16"])
    assert int(row[2]) * 4096 == int(row[3]) + int(row[4])
    assert int(row[3]) >= 100_000


def test_it_is_part_of_everything():
    for words in ("1", "on", "1,trace=2"):
        out = check("import wrasse; print(wrasse.status()['alloc'])", words)
        assert out == "wrasse\n"
    assert check("import wrasse; print(wrasse.install()['alloc'])", "0") == "wrasse\n"


@pytest.mark.parametrize(
    "choice",
    [
        {"PYTHONMALLOC": "debug"},
        {"PYTHONMALLOC": "malloc"},
        {"PYTHONDEVMODE": "1"},
        {"PYTHONTRACEMALLOC": "1"},
    ],
)
def test_a_choice_of_another_allocator_is_news_to_nobody(choice):
    """Who asks for everything, and Python for another allocator, gets both without a word."""
    code = "import wrasse; print(wrasse.status()['alloc'])"
    assert check(code, "1", **choice).startswith("stock: ")
    result = run(code, "1,limit=1GiB", **choice)
    assert (result.returncode, result.stderr.count("\n")) == (0, 1)
    assert "which the limit needs" in result.stderr


@pytest.mark.parametrize("name", ["debug", "malloc", "malloc_debug", "pymalloc_debug"])
def test_another_allocator_stays(name):
    result = run("import wrasse; print(wrasse.status()['alloc'])", PYTHONMALLOC=name)
    assert result.returncode == 0
    assert result.stdout.startswith("stock: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("wrasse: the allocator stays stock: ")


def test_hooks_of_another_tool_stay():
    result = run(
        """
        import tracemalloc
        tracemalloc.start()
        import wrasse
        print(wrasse.install("alloc")["alloc"])
        kept = [object() for _ in range(1000)]
        tracemalloc.stop()
        print(sum(1 for _ in kept))
        """,
        "0",
    )
    assert result.returncode == 0
    assert result.stdout.startswith("stock: ")
    assert result.stdout.split()[-1] == "1000"
    assert len(result.stderr.splitlines()) == 1


def test_blocks_from_before_go_back_where_they_came_from():
    """Installed in a running program, with much allocated already."""
    assert (
        check(
            """
            import wrasse
            lists = [[i] * (i % 90) for i in range(5000)]
            texts = ["x" * (i % 3000) for i in range(5000)]
            arrays = [bytearray(i % 2000) for i in range(5000)]
            print(wrasse.install("alloc")["alloc"])
            for i, (a, b) in enumerate(zip(lists, arrays)):
                a.extend(range(i % 50))      # reallocates a block of the other allocator
                b.extend(bytes(i % 9000))
                texts[i] += "y" * (i % 4000)
            for i, (a, b) in enumerate(zip(lists, arrays)):
                assert a == [i] * (i % 90) + list(range(i % 50))
                assert b == bytes(i % 2000 + i % 9000)
                assert texts[i] == "x" * (i % 3000) + "y" * (i % 4000)
                del a[3:], b[3:]
            del lists, texts, arrays
            """,
            "0",
        )
        == "wrasse\n"
    )


def test_growing_and_shrinking_across_the_largest_pool_block():
    check(
        """
        import random
        random.seed(4)
        kept = [bytearray(b"%d" % i) for i in range(300)]
        expected = [bytes(b) for b in kept]
        for _ in range(30_000):
            i = random.randrange(300)
            size = random.choice((10, 500, 4000, 8000, 8191, 8192, 8193, 20_000, 200_000))
            if len(kept[i]) < size:
                more = bytes([random.randrange(256)]) * (size - len(kept[i]))
                kept[i] += more
                expected[i] += more
            else:
                del kept[i][size:]
                expected[i] = expected[i][:size]
        assert [bytes(b) for b in kept] == expected
        """
    )


def test_memory_goes_back_to_the_system():
    out = check(
        """
        import gc
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096 >> 20
        start = resident()
        kept = [bytes(10 + i % 400) for i in range(500_000)]
        full = resident()
        del kept
        gc.collect()
        print(full - start, resident() - start)
        """
    )
    full, rest = map(int, out.split())
    assert full > 100
    assert rest < 20


def test_the_limit_is_an_exception_where_it_happens():
    out = check(
        """
        import sys, wrasse
        refused = 0
        for size in (10, 400, 5000, 100_000, 10_000_000):
            kept = []
            try:
                while True:
                    kept.append(bytes(size))
            except MemoryError:
                refused += 1
            count = len(kept)
            held = count * sys.getsizeof(bytes(0)) + count * size
            assert held < 64 << 20, (size, held)
            assert held > (20 << 20), (size, held)
            del kept
        print(refused)
        try:
            bytearray(64 << 20)
        except MemoryError:
            print("too large")
        print(len(bytearray(30 << 20)) >> 20, sum(range(10)))
        """,
        "alloc,limit=64MiB",
    )
    assert out.split() == ["5", "too", "large", "30", "45"]


def test_random_limits_never_crash():
    code = """
        import json, random, re, sys
        try:
            data = [{"id": i, "name": f"n{i}", "tags": ["a", "b", str(i)]} for i in range(20_000)]
            text = json.dumps(data)
            assert json.loads(text) == data
            assert len(re.findall(r"n(\\d+)", text)) == 20_000
        except MemoryError:
            data = text = None
            print("refused", end=" ")
        print(sum(len(str(i)) for i in range(1000)))
    """
    outs = [check(code, f"gc,alloc,limit={limit}MiB") for limit in range(6, 34, 2)]
    assert {out.split()[-1] for out in outs} == {"2890"}
    assert outs[0].startswith("refused")
    assert not outs[-1].startswith("refused")


def test_threads_share_what_they_allocate():
    check(
        """
        import queue, sys, threading
        sys.setswitchinterval(1e-5)
        queues = [queue.Queue(50) for _ in range(4)]
        def work(number):
            for i in range(3000):
                queues[number].put([str(i) * (i % 40), bytes(i), {i: number}])
                text, data, table = queues[number - 1].get()
                assert text == str(i) * (i % 40) and len(data) == i and len(table) == 1
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """,
        "gc,alloc",
    )


def test_a_fork_goes_on_in_both_processes():
    check(
        """
        import os, threading
        stop = False
        def churn():
            while not stop:
                [bytes(i) for i in range(9000, 9100)], [str(i) for i in range(500)]
        thread = threading.Thread(target=churn)
        thread.start()
        kept = [str(i) for i in range(20_000)]
        for _ in range(20):
            child = os.fork()
            if child == 0:
                good = kept == [str(i) for i in range(20_000)]
                kept.clear()
                kept.extend(bytes(i) for i in range(12_000))
                os._exit(not good)
            assert os.waitpid(child, 0)[1] == 0
        stop = True
        thread.join()
        """,
        "gc,alloc",
        "-W",
        "ignore::DeprecationWarning",
    )


def test_subinterpreters_in_parallel():
    """From 3.12 on they have a GIL each, so they allocate at the same time."""
    out = check(
        """
        import sys, threading
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        CODE = '''
        import sys
        for round in range(12):
            kept = {i: (str(i), [i] * (i % 20)) for i in range(4000)}
            assert all(kept[i] == (str(i), [i] * (i % 20)) for i in kept)
        import json
        assert json.loads(json.dumps(list(range(5000)))) == list(range(5000))
        assert sys.getallocatedblocks() > 0
        '''
        failed = []
        def work():
            for _ in range(3):
                one = interpreters.create()
                try:
                    problem = interpreters.run_string(one, CODE)
                    if problem is not None:
                        failed.append(problem)
                except Exception as error:
                    failed.append(error)
                interpreters.destroy(one)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        kept = [[str(i)] for i in range(300_000)]
        for thread in threads: thread.join()
        assert kept == [[str(i)] for i in range(300_000)]
        print(failed)
        """
    )
    assert out == "[]\n"


@pytest.mark.parametrize("words", ["gc,alloc,tracemalloc", "gc,alloc,tracemalloc,trace=3"])
def test_the_tracer_stands_in_front_of_it(words):
    out = check(
        """
        import tracemalloc, wrasse
        kept = [bytes(100)]
        for _ in range(3):
            tracemalloc.start(2)
            kept += [bytes(700 + i) for i in range(1000)]
            (trace,) = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.Filter(True, "<string>", 6)]).statistics("lineno")
            assert trace.count >= 1000, trace
            tracemalloc.stop()
        kept.clear()
        print(wrasse.status()["alloc"], wrasse.status()["tracemalloc"])
        """,
        words,
    )
    assert out.split() == ["wrasse", "wrasse"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="stock itself needs the GIL from 3.12 on")
def test_big_blocks_without_the_gil():
    """Wrong, but it works on stock 3.11 for blocks too large for pymalloc."""
    check(
        """
        import ctypes, threading
        with_gil, without = ctypes.pythonapi, ctypes.CDLL(None)
        for library in (with_gil, without):
            for name in ("PyMem_Malloc", "PyMem_Realloc", "PyMem_Calloc"):
                getattr(library, name).restype = ctypes.c_void_p
        P, Z = ctypes.c_void_p, ctypes.c_size_t
        def work(number):
            for i in range(3000):
                size = 600 + (i * 37 + number) % 7000
                first, second = (with_gil, without) if i % 3 else (without, with_gil)
                block = first.PyMem_Malloc(Z(size))
                ctypes.memset(block, number, size)
                kept = bytes(size)
                block = second.PyMem_Realloc(P(block), Z(size + i % 2000))
                assert ctypes.string_at(block, size) == bytes([number]) * size
                (without if i % 2 else with_gil).PyMem_Free(P(block))
                without.PyMem_Free(P(without.PyMem_Calloc(Z(1), Z(size))))
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )


def test_large_blocks_are_counted_among_all():
    check(
        """
        import sys
        before = sys.getallocatedblocks()
        kept = [bytes(10_000) for _ in range(500)]
        assert 500 <= sys.getallocatedblocks() - before <= 520
        """
    )


# --- The limit from within --------------------------------------------------------------------------


def test_the_limit_is_set_and_lifted_while_the_program_runs():
    out = check(
        """
        import wrasse
        wrasse.set_limit("64MiB")
        print(wrasse.allocator_stats()["limit"] >> 20)
        try:
            bytearray(64 << 20)
        except MemoryError:
            print("refused", wrasse.allocator_stats()["refused"])
        wrasse.set_limit(128 << 20)
        kept = bytearray(64 << 20)
        wrasse.set_limit(1 << 20)          # what is taken stays
        try:
            bytearray(1 << 20)
        except MemoryError:
            print(len(kept) >> 20)
        wrasse.set_limit(None)
        print(wrasse.allocator_stats()["limit"], len(bytearray(200 << 20)) >> 20)
        """,
        "1",
    )
    assert out.split() == ["64", "refused", "1", "64", "None", "200"]


def test_lifting_the_limit_needs_no_memory():
    """Nothing at all is left: not for a block of 16 bytes, not in any class."""
    out = check(
        """
        import wrasse
        lift, kept, sizes = wrasse.set_limit, [], [10, 40, 100, 500, 3000]
        kept.append(bytearray(30 << 20))
        def fill():
            table = kept
            for size in reversed(sizes):
                try:
                    while True:
                        table.append(bytes(size))
                except MemoryError:
                    pass
            link = None
            try:
                while True:
                    link = (link,)
            except MemoryError:
                lift(None)
                return link
        lift("48MiB")
        link = fill()
        print(len(kept) > 10, link is not None, len([bytes(100) for _ in range(100_000)]))
        while link is not None:
            link, = link
        """,
        "1",
    )
    assert out.split() == ["True", "True", "100000"]


@pytest.mark.parametrize("limit", [1, 2048, 1 << 20, 2 << 20])
def test_a_limit_below_what_it_takes_to_start_is_no_endless_loop(limit):
    """CPython unwinds with new integers, and would try for ever to get one."""
    result = run("import json, re; print(1)", f"1,limit={limit}")
    assert result.returncode in (0, 1), result


def test_the_stack_unwinds_when_nothing_is_left():
    out = check(
        """
        import gc, wrasse
        gc.disable()  # or CPython may say that there is no memory for a callback's arguments
        class Context:
            def __enter__(self): pass
            def __exit__(self, *_): self.seen = True
        numbers = list(range(1000, 1_000_000))
        def fill(kept, make):
            with Context():
                try:
                    with Context():
                        while True:
                            kept = make(kept)
                finally:
                    make = None
        wrasse.set_limit(wrasse.allocator_stats()["taken"] + (1 << 20))
        for make in (lambda kept: (kept,), lambda kept: [kept], lambda kept: {1: kept},
                     lambda kept: (kept, 2.5 * len(kept)), lambda kept: (kept, bytes(300))):
            try:
                fill((), make)
            except MemoryError:
                print("refused", end=" ")
        wrasse.set_limit(None)
        """,
        "1",
    )
    assert out == "refused " * 5


def test_the_limit_turns_the_allocator_on():
    out = check(
        """
        import wrasse
        wrasse.set_limit(None)
        print(wrasse.status()["alloc"])
        try:
            wrasse.allocator_stats()
        except RuntimeError as error:
            print(error)
        wrasse.set_limit("1 GiB")
        print(wrasse.status()["alloc"], wrasse.allocator_stats()["limit"] >> 30)
        """,
        "0",
    )
    first, second, third = out.splitlines()
    assert first == "stock: not turned on"
    assert "status" in second
    assert third == "wrasse 1"
    out = check(
        """
        import wrasse
        try:
            wrasse.set_limit("1 GiB")
        except RuntimeError as error:
            print(error)
        """,
        "0",
        PYTHONMALLOC="debug",
    )
    assert "pymalloc_debug" in out and out.count("\n") == 1


@pytest.mark.parametrize("size", ["'much'", "''", "'0'", "'-1'", "0", "-1", "1 << 64", "'1e3'"])
def test_a_size_that_makes_no_sense_is_told_in_one_line(size):
    out = check(
        f"""
        import wrasse
        try:
            wrasse.set_limit({size})
        except ValueError as error:
            print(error, wrasse.status()["alloc"])
        """,
        "0",
    )
    assert out.endswith("stock: not turned on\n") and out.count("\n") == 1


@pytest.mark.parametrize("size", ["1.5", "True", "b'1MiB'", "[]"])
def test_what_is_no_size_is_a_type_error(size):
    code = f"""
        import wrasse
        try:
            wrasse.set_limit({size})
        except TypeError:
            print("refused")
        """
    assert check(code, "0") == "refused\n"


def test_statistics_add_up():
    check(
        """
        import wrasse
        before = wrasse.allocator_stats()
        kept = [bytes(1000) for _ in range(10_000)] + [bytes(100_000) for _ in range(10)]
        stats = wrasse.allocator_stats()
        assert stats["large_blocks"] - before["large_blocks"] >= 10
        assert stats["large_bytes"] - before["large_bytes"] >= 1_000_000
        row = next(c for c in stats["classes"] if c["size"] == 1280)    # with bytes' own head
        assert row["blocks"] >= 10_000 and row["bytes"] == row["blocks"] * 1280, row
        assert row["capacity"] == row["pools"] * (65536 // 1280) >= row["blocks"]
        for name in ("blocks", "bytes"):
            assert sum(c[name] for c in stats["classes"]) == stats[name]
        pools = sum(c["pools"] for c in stats["classes"])
        assert stats["committed"] == pools * 65536 + stats["kept"]
        assert stats["taken"] == stats["committed"] + stats["large_bytes"] <= stats["peak"]
        del kept
        stats = wrasse.allocator_stats()
        assert stats["given_back"] + stats["kept"] >= 12_000_000, stats
        assert stats["peak"] >= stats["taken"] + 1_000_000
        """,
        "1",
    )


def test_a_request_beyond_all_memory_is_no_peak():
    check(
        """
        import wrasse
        for bits in (47, 50, 61, 62):
            try:
                bytearray(1 << bits)
            except MemoryError:
                pass
        assert wrasse.allocator_stats()["peak"] < 100 << 20
        """
    )


# --- What once went wrong ---------------------------------------------------------------------------


def test_a_large_block_can_shrink_to_nothing_at_the_limit():
    """The system takes a size of 0 for "free it", and the block lives on."""
    check(
        """
        import ctypes, wrasse
        api = ctypes.pythonapi
        for name in ("PyMem_Malloc", "PyMem_Realloc"):
            getattr(api, name).restype = ctypes.c_void_p
        P, Z, wanted = ctypes.c_void_p, ctypes.c_size_t, (ctypes.c_void_p * 20)()
        big = [api.PyMem_Malloc(Z(100_000)) for _ in range(20)]
        addresses = [P(b) for b in big]
        zero, fill, spare = Z(0), [], []
        for size in (1, 16):                # nothing of this size at hand
            fill.append([api.PyMem_Malloc(Z(size)) for _ in range(9000)])
        wrasse.set_limit(wrasse.allocator_stats()["taken"])
        try:
            while True:
                spare.append(api.PyMem_Malloc(Z(1)) or 1 // 0)
        except (ZeroDivisionError, MemoryError):
            pass
        for i, address in enumerate(addresses):
            wanted[i] = api.PyMem_Realloc(address, zero)
        wrasse.set_limit(None)
        assert all(wanted), list(wanted)
        for block in wanted:
            ctypes.memset(block, 1, 1)
            api.PyMem_Free(P(block))
        kept = [bytes(i) for i in range(20_000)]
        """,
        "gc,alloc",
    )


def test_a_program_with_little_data_still_has_most_of_it():
    """``RLIMIT_DATA`` counts what can be written to, needed or not."""
    check(
        """
        import resource, subprocess, sys
        code = "import wrasse; print(wrasse.status()['alloc'], len(bytearray(300 << 20)) >> 20)"
        limits = resource.RLIMIT_DATA, (420 << 20, 420 << 20)
        out = subprocess.run([sys.executable, "-c", code], check=True, text=True,
            stdout=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(*limits)).stdout
        assert out.split() == ["wrasse", "300"], out
        """,
        "1",
    )


INTERPRETERS = """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
"""


def test_dead_interpreters_leave_little_behind():
    check(
        INTERPRETERS
        + """
        import wrasse
        CODE = "kept = [bytes(10 + i % 400) for i in range(60_000)]; import json; del kept"
        def one():
            made = interpreters.create()
            interpreters.run_string(made, CODE)
            interpreters.destroy(made)
        for _ in range(2):
            one()
        before = wrasse.allocator_stats()["committed"]
        # Alive at the same time, so that each has an address, and a heap, of its own.
        many = [interpreters.create() for _ in range(8)]
        for each in many:
            interpreters.run_string(each, CODE)
        for each in many:
            interpreters.destroy(each)
        grown = wrasse.allocator_stats()["committed"] - before
        assert grown < 8 * (3 << 20), grown
        """,
        "1",
    )


def test_interpreters_turn_it_on_side_by_side():
    """The later one must not take wrasse's allocator for the one that was there before."""
    check(
        INTERPRETERS
        + """
        import threading
        CODE = '''
        before = [bytes(i) for i in range(600)], [bytearray(i) for i in range(600)]
        import wrasse
        assert wrasse.install("alloc")["alloc"] == "wrasse"
        for each in before[1]:
            each.extend(bytes(700))
        before = None
        after = [bytes(i) for i in range(3000)]
        '''
        failed = []
        def work(made):
            try:
                problem = interpreters.run_string(made, CODE)
            except Exception as error:
                problem = error
            if problem is not None:
                failed.append(problem)
        many = [interpreters.create() for _ in range(4)]
        threads = [threading.Thread(target=work, args=(each,)) for each in many]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        for each in many:
            interpreters.destroy(each)
        assert not failed, failed
        """,
        "0",
    )


EMBEDDING = """
void Py_Initialize(void);
int Py_FinalizeEx(void);
int PyRun_SimpleString(const char *);
const char *_PyMem_GetCurrentAllocatorName(void);
int printf(const char *, ...);

int main(int count, char **arguments)
{
    for (int round = 0; round < 4; round++) {
        Py_Initialize();
        if (PyRun_SimpleString(arguments[1]))
            return 1;
        printf("%s\\n", _PyMem_GetCurrentAllocatorName() ? "stock" : "not stock");
        Py_FinalizeEx();
    }
    return 0;
}
"""


def test_a_program_that_starts_python_anew(tmp_path):
    """From 3.12 on CPython puts its own allocators back when it is initialised again."""
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
    compiler = shutil.which("cc")
    if not library.name.endswith(".so") or not library.exists() or compiler is None:
        pytest.skip("no shared libpython here, or no C compiler")
    (tmp_path / "embedding.c").write_text(EMBEDDING)
    command = [compiler, "embedding.c", "-o", "embedding", library, f"-Wl,-rpath,{library.parent}"]
    subprocess.run(command, cwd=tmp_path, check=True)
    code = f"""
import sys
sys.path.append({sysconfig.get_path("platlib")!r})
import wrasse
assert wrasse.install("alloc")["alloc"] == "wrasse"
kept = [str(i) for i in range(5000)]
"""
    environment = {**STOCK, "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}"}
    result = subprocess.run(
        [tmp_path / "embedding", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "not stock\n" * 4

"""Full collections in slices, under a pause target."""

import os
import pathlib
import subprocess
import sys
import textwrap

import command
import pytest

PROGRAM = pathlib.Path(__file__).with_name("sliced_heap.py")
HEAPS = int(os.environ.get("WRASSE_HEAPS", "2000")) // 10

# 100,000 old objects, and a program that makes more of them until a sliced
# collection is as far as it should be.
PRELUDE = """
import gc, os, sys, weakref
import wrasse
wrasse.set_pause_target(0.5)
gc.disable()
class Node:
    def __del__(self): finalized.append(self.number)
finalized = []
kept = [[number] for number in range(100_000)]
def garbage(first, count):
    for number in range(first, first + count):
        node = Node(); node.me = node; node.number = number
def finished(): return gc.get_stats()[2]["collections"]
def slices(): return wrasse.gc_stats()["slices"]
more = []
def go_on(stop):
    gc.enable()
    for _ in range(5_000_000):
        more.append([])
        if len(more) % 100 == 0 and stop(): break
    else: raise AssertionError("no progress")
    gc.disable()
def begin(count=3):
    first = slices()
    go_on(lambda: slices() >= first + count)
def complete():
    first = finished()
    go_on(lambda: finished() > first)
def old_garbage(count, size=1):
    # Nodes that are old when they become garbage, in rings of `size`.
    nodes = [Node() for _ in range(count)]
    for number, node in enumerate(nodes):
        node.number = number
        node.next = nodes[number - number % size + (number + 1) % size]
    gc.collect()
gc.set_threshold(200, 1, 200)
gc.collect()
"""


def run(code, features="gc,alloc", **changes):
    """Runs the prelude and ``code``; it must end well and say nothing else."""
    program = PRELUDE + textwrap.dedent(code)
    result = command.python("-c", program, WRASSE=features, **changes)
    assert (result.code, result.err) == (0, ""), result.err
    return result.out


@pytest.mark.parametrize("features", ["gc", "gc,alloc"])
@pytest.mark.parametrize("first", range(0, HEAPS, 100))
def test_sliced_and_interrupted_collections_find_what_stock_finds(first, features):
    outputs = []
    for value in (None, features):
        env = command.environment(PYTHONHASHSEED="0") | ({"WRASSE": value} if value else {})
        count = min(100, HEAPS - first)
        result = subprocess.run(
            [sys.executable, str(PROGRAM), str(first), str(count)],
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout.splitlines())
        if value:
            assert int(result.stderr.split()[-1]) > 20 * count, "collections were not sliced"
    stock, ours = outputs
    assert len(ours) == count
    for expected, got in zip(stock, ours, strict=True):
        assert got == expected


@pytest.mark.parametrize("size", [1, 50, 5000])
def test_a_collection_in_slices_finds_all_that_was_garbage_when_it_began(size):
    out = run(f"""
        old_garbage(5000, {size})
        before, seen = slices(), []
        watch = lambda phase, info: seen.append((phase, info["generation"], info["collected"]))
        gc.callbacks.append(watch)
        complete()
        gc.callbacks.remove(watch)
        assert sorted(finalized) == list(range(5000)), len(finalized)
        seen = [each for each in seen if each[1] == 2]
        starts = [each for each in seen if each[0] == "start"]
        stops = [each[2] for each in seen if each[0] == "stop"]
        assert len(starts) == len(stops) == slices() - before
        assert len(stops) > 10, len(stops)
        assert sum(stops) >= 5000
        assert gc.collect() == 0
        print("done")
    """)
    assert out == "done\n"


def test_statistics_count_a_collection_once():
    out = run("""
        first, whole = wrasse.gc_stats(), finished()
        complete()
        last = wrasse.gc_stats()
        old, new = first["generations"][2], last["generations"][2]
        assert finished() == new["collections"] == old["collections"] + 1 == whole + 1
        assert 100_000 < new["candidates"] - old["candidates"] < 300_000
        assert last["reasons"]["threshold"] > first["reasons"]["threshold"]
        assert last["slices"] - first["slices"] > 10
        assert last["pause_target"] == 0.0005
        wrasse.set_pause_target(None)
        assert wrasse.gc_stats()["pause_target"] is None
        count = last["slices"]
        complete()
        assert slices() == count
        print("done")
    """)
    assert out == "done\n"


def test_adapted_thresholds_come_to_full_collections_in_slices():
    code = """
        import gc, wrasse
        wrasse.set_pause_target(1)
        class Node: pass
        kept = [[i] for i in range(600_000)]
        stats = wrasse.gc_stats()
        assert stats["nursery"] and stats["slices"] > 3, stats
        assert stats["reasons"]["share"] > 0
        for number in range(0, 300_000, 3):
            kept[number].append(kept[number])
            kept[number] = None
        before = sum(each["collected"] for each in stats["generations"])
        more = []
        for number in range(4_000_000):
            more.append([])
            if number % 10_000 == 0:
                found = sum(each["collected"] for each in wrasse.gc_stats()["generations"])
                if found >= before + 100_000: break
        else:
            raise AssertionError(found - before)
        print("done")
    """
    result = command.python("-c", textwrap.dedent(code), WRASSE="gc,alloc")
    assert (result.code, result.out, result.err) == (0, "done\n", "")


def test_collect_in_between_is_complete():
    out = run("""
        old_garbage(1000)
        begin()
        seen = finished()
        found = gc.collect()
        assert found in (1000, 2000), found  # with or without their dicts
        assert finished() == seen + 1
        assert sorted(finalized) == list(range(1000))
        assert gc.collect() == 0
        print("done")
    """)
    assert out == "done\n"


@pytest.mark.parametrize("act", ["gc.freeze()", "kept_freeze()"])
def test_freeze_in_between_takes_everything_and_nothing_of_ours(act):
    code = f"""
        old_garbage(1000)
        begin()
        {act}
        frozen = gc.get_freeze_count()
        assert frozen > 100_000
        for _ in range(3):
            complete()
        # Wrasse's own places on the lists are gone.
        assert gc.get_freeze_count() <= frozen
        assert finalized == []
        gc.unfreeze()
        gc.collect()
        assert sorted(finalized) == list(range(1000))
        print("done")
    """
    program = "from gc import freeze as kept_freeze\nimport wrasse\nwrasse.install('gc,alloc')\n"
    result = command.python("-c", program + PRELUDE + textwrap.dedent(code))
    assert (result.code, result.out, result.err) == (0, "done\n", "")


def test_places_on_the_lists_are_gone_afterwards():
    out = run("""
        empty = lambda: sum(type(each) is list and not each for each in gc.get_objects())
        complete()
        more.clear(); gc.collect()
        before = empty()
        old_garbage(300, 3)
        for _ in range(200):
            begin(1)
            if empty() - len(more) > before: break
        else:
            raise AssertionError("no places on the lists in 200 slices")
        gc.collect()
        assert empty() - len(more) <= before, (before, empty() - len(more))
        complete()
        assert empty() - len(more) <= before, (before, empty() - len(more))
        print("done")
    """)
    assert out == "done\n"


def test_what_is_shown_while_a_collection_is_in_progress():
    out = run("""
        mark = kept[77]
        for _ in range(30):
            begin(1)
            assert any(each is mark for each in gc.get_objects(2))
            assert gc.is_tracked(mark)
            for number in range(0, 100_000, 10_007):
                assert gc.get_referrers(kept[number]) == [kept]
        # Even if the program takes hold of all that is shown.
        begin(2)
        everything = gc.get_objects()
        for each in everything:
            if type(each) is list and not each and each is not gc.callbacks:
                each.append(everything)
        complete()
        gc.collect()
        print("done")
    """)
    assert out == "done\n"


def test_objects_that_come_and_go_between_slices():
    out = run("""
        import random
        rng = random.Random(1)
        old_garbage(2000, 4)
        held = [[[n], {n: [n]}] for n in range(20_000)]
        gc.collect()
        first = finished()
        gc.enable()
        while finished() == first:
            for _ in range(50):
                a, b = rng.randrange(20_000), rng.randrange(20_000)
                held[a][0], held[b][1] = held[b][1], held[a][0]
                held[rng.randrange(20_000)] = [[a], {b: [a]}]
                more.append([])
        gc.disable()
        assert sorted(finalized) == list(range(2000))
        assert all(len(each) == 2 for each in held)
        print("done")
    """)
    assert out == "done\n"


def test_weak_references_and_resurrection():
    out = run("""
        class Saved(Node):
            def __del__(self):
                finalized.append(self.number); saved.append(self)
        saved, called = [], []
        nodes = [Saved() for _ in range(500)]
        for number, node in enumerate(nodes):
            node.number, node.next = number, nodes[number - 1 if number % 5 else number + 4]
        references = [weakref.ref(node, lambda ref: called.append(ref())) for node in nodes]
        gc.collect()
        del nodes, node
        complete()
        assert sorted(finalized) == list(range(500))
        assert sorted(node.number for node in saved) == list(range(500))
        assert called == [None] * 500
        assert all(reference() is None for reference in references)
        assert all(node.next.number // 5 == node.number // 5 for node in saved)
        watch = [weakref.ref(node) for node in saved]
        gc.collect()
        saved.clear()
        complete()
        assert len(finalized) == 500, "finalized twice"
        assert all(each() is None for each in watch)
        print("done")
    """)
    assert out == "done\n"


@pytest.mark.parametrize(
    "deed",
    [
        "wrasse.set_pause_target(None)",
        "gc.freeze()",
        "gc.collect()",
        "gc.disable()",
        "gc.set_threshold(700)",
        "wrasse.set_pause_target(0.01)",
        "more.extend([[] for _ in range(3_000)])",
    ],
)
def test_finalizers_and_callbacks_that_meddle(deed):
    out = run(f"""
        old_garbage(3000, 2)
        class Meddler:
            def __del__(self):
                {deed}
        meddler = Meddler(); meddler.me = meddler
        gc.collect()
        del meddler
        first, count = slices(), finished()
        gc.enable()
        for number in range(1_000_000):
            more.append([])
            if number % 1000 == 0 and finished() > count + 1: break
        gc.unfreeze()
        gc.collect()
        assert slices() > first
        assert sorted(finalized) == list(range(3000)), len(finalized)

        def callback(phase, info):
            if phase == calling:
                {deed}
        wrasse.set_pause_target(0.5)
        gc.set_threshold(200, 1, 200)
        gc.callbacks.append(callback)
        for calling in "start", "stop":
            wrasse.set_pause_target(0.5)
            for number in range(100_000):
                more.append([])
        gc.callbacks.clear()
        gc.unfreeze()
        gc.collect()
        print("done")
    """)
    assert out == "done\n"


def test_forks_in_between_go_on_by_themselves():
    out = run("""
        old_garbage(1000, 2)
        begin(5)
        children = []
        for act in complete, gc.collect, (lambda: None):
            child = os.fork()
            if child == 0:
                act()
                gc.collect()
                os._exit(0 if sorted(finalized) == list(range(1000)) else 1)
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        complete()
        assert sorted(finalized) == list(range(1000))
        print("done")
    """)
    assert out == "done\n"


@pytest.mark.parametrize("enabled", ["gc.enable()", "gc.disable()"])
@pytest.mark.parametrize("count", [1, 10, 200])
def test_the_interpreter_ends_in_between(enabled, count):
    code = f"""
        class Last:
            def __del__(self): os.write(1, b".")
        last = [Last() for _ in range(20)]
        for each in last: each.me = each
        gc.collect()
        del last, each
        first = slices()
        gc.enable()
        for number in range(100_000):
            more.append([])
            if number % 100 == 0 and slices() >= first + {count}: break
        {enabled}
    """
    assert run(code) == "." * 20


def test_other_threads_run_between_slices():
    out = run("""
        import threading
        old_garbage(2001, 3)
        stop, made = threading.Event(), []
        def work():
            mine = []
            while not stop.is_set():
                node = {}; node["me"] = node
                mine.append([node] * 3)
                if len(mine) > 2000: mine.clear()
            made.append(len(mine))
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        for _ in range(3): complete()
        stop.set()
        for thread in threads: thread.join()
        assert sorted(finalized) == list(range(2001))
        assert len(made) == 3
        print("done")
    """)
    assert out == "done\n"


def test_a_collection_that_is_overtaken_is_finished_at_once():
    out = run("""
        # A slice in very many allocations: the next collection is due before the end.
        gc.set_threshold(5_000, 0, 0)
        old_garbage(1000)
        first, count = slices(), finished()
        go_on(lambda: finished() > count)
        assert 0 < slices() - first < 40, slices() - first
        assert sorted(finalized) == list(range(1000))
        print("done")
    """)
    assert out == "done\n"


def test_a_target_that_is_none_is_refused():
    out = run("""
        for value in 0, -1, float("nan"), float("inf"), 1e9:
            try: wrasse.set_pause_target(value)
            except ValueError as error: print(error)
        for value in "10ms", [], b"1":
            try: wrasse.set_pause_target(value)
            except TypeError as error: print(type(error).__name__)
        assert wrasse.gc_stats()["pause_target"] == 0.0005
    """)
    line = "a pause target is from 0.001 to 3600000 milliseconds, or None\n"
    assert out == 5 * line + 3 * "TypeError\n"
    result = command.python("-c", "import wrasse; wrasse.set_pause_target(10)")
    assert "RuntimeError: wrasse's collector is not installed" in result.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("10ms", 0.01), ("2.5", 0.0025), ("0.5s", 0.5), (" 3 ms", 0.003)]
)
def test_by_the_environment_and_the_command_line(text, seconds):
    code = "import wrasse; print(wrasse.gc_stats()['pause_target'])"
    assert command.python("-c", code, WRASSE=f"pause={text}").out == f"{seconds}\n"
    result = command.wrasse("run", "--quiet", "--pause-target", text, "-c", code)
    assert (result.code, result.out, result.err) == (0, f"{seconds}\n", "")
    later = command.wrasse("run", "--quiet", "--pause-target", "7ms", "-c", code, WRASSE="pause=1")
    assert later.out == "0.007\n"


@pytest.mark.parametrize("text", ["", "0", "-1ms", "fast", "10m", "nan", "1e9s"])
def test_words_that_are_no_time(text):
    result = command.python("-c", "print('stock')", WRASSE=f"gc,pause={text}")
    assert result.out == "stock\n"
    assert result.err.count("\n") == 1
    assert "a time is from 0.001ms to 3600s: 10ms" in result.err
    result = command.wrasse("run", f"--pause-target={text}", "-c", "pass")
    assert result.code == 2
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("count", [3, 10, 200])
def test_subinterpreters_have_slices_of_their_own_and_end_in_between(count):
    code = """
        try: import _interpreters as interpreters
        except ImportError: import _xxsubinterpreters as interpreters
        code = '''if True:
            import gc, wrasse
            gc.set_threshold(200, 1, 200)
            kept = [[number] for number in range(60_000)]
            for each in kept[:1000]: each.append(each)
            del kept[:1000], each
            for number in range(400_000):
                kept.append([])
                if not number & 63 and wrasse.gc_stats()["slices"] > COUNT: break
            assert wrasse.gc_stats()["pause_target"] == 0.0005
            assert wrasse.gc_stats()["slices"] > 3
            print("there", flush=True)
        '''
        for _ in range(3):
            interpreter = interpreters.create()
            failure = interpreters.run_string(interpreter, code.replace("COUNT", str(COUNT)))
            assert not failure, failure
            interpreters.destroy(interpreter)
        print("done")
    """
    code = textwrap.dedent(code).replace("COUNT))", f"{count}))")
    result = command.python("-c", code, WRASSE="gc,alloc,pause=0.5ms")
    assert (result.code, result.out, result.err) == (0, 3 * "there\n" + "done\n", "")


def test_a_slice_without_memory_ends_in_a_full_collection_that_sees_the_young():
    """Young objects that had been put aside were not found on the lists: it read behind their head."""
    code = """
        import gc, os, resource
        class Node:
            __slots__ = ("a", "b")
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        keep = []
        gc.disable()
        for _ in range(200_000):
            node = Node()
            node.a, node.b = [node], {"k": node}
            keep.append(node)
        gc.enable()
        FREE = resource.RLIM_INFINITY
        last, stuck = -1, 0
        def used():
            return int(os.pread(statm, 100, 0).split()[0]) * 4096
        def told(phase, info):
            # No memory for the next slice's tables; then there is some again.
            global last, stuck
            if info["generation"] == 2:
                if phase == "stop":
                    last = number
                    try:
                        resource.setrlimit(resource.RLIMIT_AS, (used(), FREE))
                    except MemoryError:
                        pass
                elif number == last:
                    stuck += 1
                    resource.setrlimit(resource.RLIMIT_AS, (FREE, FREE))
        gc.callbacks.append(told)
        more = [None] * 600_000
        for number in range(600_000):
            try:
                more[number] = [number]
            except MemoryError:
                pass
        gc.callbacks.clear()
        resource.setrlimit(resource.RLIMIT_AS, (FREE, FREE))
        assert len(keep) == 200_000 and all(node.a[0] is node.b["k"] is node for node in keep)
        print("stuck" if stuck else "never stuck")
    """
    result = command.python("-c", textwrap.dedent(code), WRASSE="gc,alloc,pause=1ms")
    assert (result.code, result.err) == (0, "")
    assert result.out == "stuck\n"


# A ring of objects that is old, garbage, and larger than what one slice clears. Each
# refers to `token`, which counts them so, and to an object that lives until the program
# lets go of it, or until its node is cleared if that is later.
RING = """
    class Ring:
        __slots__ = "next", "token", "other", "__weakref__"
    class Other:
        __slots__ = ()
        def __del__(self): gone[0] += 1
    class Token: pass
    gone, token, TOTAL = [0], Token(), 30_000
    def held(): return sys.getrefcount(token) - base
    base = sys.getrefcount(token)
    others = [Other() for _ in range(TOTAL)]
    def ring():
        nodes = [Ring() for _ in range(TOTAL)]
        for number, node in enumerate(nodes):
            node.next, node.token, node.other = nodes[number - 1], token, others[number]
        return nodes
    nodes = ring()
    watch = [weakref.ref(node) for node in nodes[::100]]
    gc.collect()
    assert held() == TOTAL
    def shown(): return sum(type(each) is Ring for each in gc.get_objects())
    def clear_a_part():
        nodes.clear()
        for _ in range(10_000):
            begin(1)
            if held() < TOTAL: break
        assert 0 < held() < TOTAL, held()
        others.clear()
        assert gone[0] == TOTAL - held()
"""


def test_a_large_piece_is_cleared_in_slices_out_of_sight():
    out = run(
        RING
        + """
    nodes.clear()
    wrasse.set_pause_target(0.1)
    seen = set()
    first = finished()
    for _ in range(10_000):
        begin(1)
        if held() < TOTAL:
            seen.add(held())
            assert shown() == 0
            assert all(each() is None for each in watch)
            assert not any(type(each) is Ring for each in gc.get_referrers(token))
        if finished() > first: break
    assert held() == 0 and len(seen) > 5, seen
    assert gc.collect() == 0
    print("done")
    """
    )
    assert out == "done\n"


@pytest.mark.parametrize(
    "deed",
    [
        "assert gc.collect() < TOTAL",
        "gc.freeze()",
        "wrasse.set_pause_target(None)",
        "complete()",
    ],
)
def test_who_ends_a_collection_clears_what_is_condemned(deed):
    out = run(
        RING
        + f"""
    clear_a_part()
    {deed}
    assert held() == 0 and gone == [TOTAL], held()
    assert shown() == 0
    print("done")
    """
    )
    assert out == "done\n"


@pytest.mark.parametrize("enabled", ["gc.enable()", "gc.disable()"])
def test_the_end_of_the_program_clears_what_is_condemned(enabled):
    # What was registered first is called last.
    early = "import atexit, sys\natexit.register(lambda: print(held(), gone))\n"
    code = RING + f"\n    clear_a_part()\n    {enabled}\n"
    result = command.python("-c", early + PRELUDE + textwrap.dedent(code), WRASSE="gc,alloc")
    assert (result.code, result.out, result.err) == (0, "0 [30000]\n", "")


def test_a_fork_in_between_clears_its_own():
    out = run(
        RING
        + """
    clear_a_part()
    child = os.fork()
    if child == 0:
        complete()
        os._exit(0 if held() == 0 and gone == [TOTAL] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert held() > 0
    complete()
    assert held() == 0 and gone == [TOTAL]
    print("done")
    """
    )
    assert out == "done\n"


@pytest.mark.parametrize(
    "deed", ["gc.freeze()", "gc.collect()", "wrasse.set_pause_target(None)", "more.append([])"]
)
def test_destructors_that_meddle_while_it_clears(deed):
    out = run(
        RING
        + f"""
    def die(self):
        gone[0] += 1
        if gone[0] % 1000 == 0:
            {deed}
    Other.__del__ = die
    clear_a_part()
    gc.enable()
    for number in range(1_000_000):
        more.append([])
        if held() == 0: break
    gc.unfreeze()
    gc.collect()
    assert held() == 0 and gone == [TOTAL]
    print("done")
    """
    )
    assert out == "done\n"


def test_a_weak_reference_from_a_finalizer_never_leads_to_what_waits():
    # Stock clears such objects in one go: nobody sees one of them half cleared.
    out = run(
        RING
        + """
    made = []
    Ring.__del__ = lambda self: made.append(weakref.ref(self)) if len(made) < 3 else None
    nodes.clear()
    for _ in range(10_000):
        begin(1)
        assert held() in (0, TOTAL)
        if held() == 0: break
    assert held() == 0 and len(made) == 3
    assert all(each() is None for each in made)
    print("done")
    """
    )
    assert out == "done\n"


def test_classes_among_what_is_cleared_in_slices():
    out = run("""
        import itertools
        def clump():
            class Mine:
                def __init__(self, last): self.last, self.tee = last, itertools.tee([self])
            last = Mine
            for _ in range(100): last = Mine(last)
            Mine.last = last
            return weakref.ref(Mine)
        classes = [clump() for _ in range(300)]
        gc.collect()
        assert not any(each() for each in classes)
        gc.disable()
        classes = [clump() for _ in range(300)]
        complete()
        complete()
        assert not any(each() for each in classes)
        print("done")
    """)
    assert out == "done\n"


def test_who_ends_a_collection_in_another_one_leaves_the_collector_alive():
    """It put back that a collection was going on, which had ended meanwhile: there was none ever again."""
    out = run(
        RING
        + """
    import threading
    clear_a_part()
    inside, go_on_inside, clearing, go_on_clearing = (threading.Event() for _ in range(4))
    class Slow:
        def __del__(self): inside.set(); go_on_inside.wait(20)
    Other.__del__ = lambda self: (clearing.set(), go_on_clearing.wait(5))
    def collect_young():
        slow = Slow(); slow.me = slow; del slow
        gc.collect(0)
    def end():
        wrasse.set_pause_target(None)
        ended.set()
    ended = threading.Event()
    first = threading.Thread(target=collect_young); first.start()
    assert inside.wait(20)
    second = threading.Thread(target=end); second.start()
    while not ended.wait(0.01) and not clearing.is_set(): pass
    go_on_inside.set(); first.join()
    go_on_clearing.set(); second.join()
    gc.collect()
    assert held() == 0, held()
    node = []; node.append(node); del node
    assert gc.collect() == 1
    print("done")
    """
    )
    assert out == "done\n"


def test_what_is_condemned_is_not_kept_for_inspection():
    # Some of it is cleared already: nobody should see the rest.
    out = run(
        RING
        + """
    clear_a_part()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    assert held() == 0, held()
    assert not any(type(each) is Ring for each in gc.garbage)
    print("done")
    """
    )
    assert out == "done\n"


@pytest.mark.skipif("_ctypes" in sys.builtin_module_names, reason="no library's type")
def test_objects_of_libraries_are_never_left_waiting():
    """A library's table led to objects that had lost their attributes, or were about to."""
    out = run(
        RING
        + """
    import ctypes
    class Known(ctypes.Structure): pass
    known = Known(); known.back = nodes[7]
    nodes[5].other = known
    gc.collect()
    del known
    nodes.clear()
    for _ in range(10_000):
        begin(1)
        assert held() in (0, TOTAL), held()
        if held() == 0: break
    assert held() == 0
    print("done")
    """
    )
    assert out == "done\n"


def test_nothing_is_left_waiting_after_the_end():
    # What was registered first is called last, when wrasse has been told of the end.
    late = """
import atexit
@atexit.register
def late():
    wrasse.set_pause_target(0.5)
    nodes.clear()
    for _ in range(10_000):
        begin(1)
        if held() < TOTAL: break
    print(held())
"""
    code = late + PRELUDE + textwrap.dedent(RING)
    result = command.python("-c", code, WRASSE="gc,alloc")
    assert (result.code, result.out, result.err) == (0, "0\n", "")

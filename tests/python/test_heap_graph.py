"""The heap as a graph: holders, paths, retained sizes, cycles; beside what gc and sys say."""

import collections
import ctypes
import functools
import gc
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import types
import weakref
from pathlib import Path

import pytest
import wrasse

BENCHES = Path(__file__).parents[2] / "benches"
sys.path.append(str(BENCHES))
SHAPES = importlib.import_module("looks").SHAPES


def run(code, **changes):
    """Runs ``code`` in a fresh interpreter; it must end well. Returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WRASSE")} | changes
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


class Plain:
    pass


class Slotted:
    __slots__ = ("first", "second")


def texts(obj):
    return [holder["text"] for holder in wrasse.explain(obj).to_dict()["holders"]]


kept_by_module = object()
cache = {}


@pytest.fixture(autouse=True)
def empty_cache():
    yield
    cache.clear()


# --- explain ---


def test_a_namespace_that_shares_its_attributes_is_held_by_its_object():
    owner = Plain()
    owner.name = ["value"]
    found = wrasse.explain(vars(owner)).to_dict()
    assert found["from_c"] == 0
    assert [holder["text"] for holder in found["holders"]] == ["Plain.__dict__"]


def test_the_table_of_subclasses_is_held_by_its_class():
    class Child(Plain):
        pass

    (table,) = (
        each
        for each in gc.get_objects()
        if type(each) is dict and any(key == id(Child) for key in each)
    )
    holders = wrasse.explain(table).to_dict()
    assert holders["from_c"] == 0
    assert any("Plain" in holder["text"] for holder in holders["holders"])


def test_a_local_variable_is_named_with_function_file_and_line():
    target = []
    (holder,) = wrasse.explain(target).to_dict()["holders"]
    assert holder["kind"] == "local"
    assert holder["name"] == "target"
    assert holder["function"].endswith("function_file_and_line")
    assert holder["file"] == __file__
    line = sys._getframe().f_lineno - 5
    assert holder["line"] == line
    assert holder["text"] == f"local 'target' in {holder['function']} ({__file__}:{line})"


def test_the_count_is_the_programs_own():
    target = []
    assert wrasse.explain(target).to_dict()["references"] == sys.getrefcount(target) - 1
    more = [target, target, (target,)]
    assert wrasse.explain(target).to_dict()["references"] == 4
    assert wrasse.explain(target).to_dict()["from_c"] == 0
    del more
    fields = wrasse.explain([]).to_dict()
    assert fields["references"] == 0
    assert "nothing but this call holds it" in fields["text"]


def test_each_way_to_hold_something_has_its_words():
    def names(make):
        def hold():
            target = Plain()
            holder = make(target)
            result = [t for t in texts(target) if not t.startswith("local")]
            del holder
            return result

        return hold()

    def attribute(target):
        holder = Plain()
        holder.some_name = target
        return holder

    def old_attribute(target):
        holder = attribute(target)
        vars(holder)
        return holder

    def slot(target):
        holder = Slotted()
        holder.second = target
        return holder

    def closure(target):
        def inner():
            return target

        return inner

    def generator(target):
        def steps(argument):
            yield argument

        running = steps(target)
        next(running)
        return running

    def class_attribute(target):
        class Holder:
            held = target

        return Holder

    def default(target):
        def function(argument=target):
            return argument

        return function

    def deep(target):
        return ValueError(target)

    @functools.lru_cache
    def cached(argument):
        return argument

    assert names(lambda t: [0, t]) == ["list[1]"]
    assert names(lambda t: (0, 1, t)) == ["tuple[2]"]
    assert names(lambda t: {"key": t}) == ["dict['key']"]
    assert names(lambda t: {("a", 7, None): t}) == ["dict[('a', 7, None)]"]
    assert names(lambda t: {t: 1}) == ["dict (as a key)"]
    assert names(lambda t: {t}) == ["set (as a member)"]
    assert names(lambda t: collections.deque([1, t])) == ["deque[1]"]
    assert names(lambda t: collections.OrderedDict(a=t)) == ["OrderedDict['a']"]
    assert names(lambda t: collections.defaultdict(list, a=t)) == ["defaultdict['a']"]
    assert names(attribute) == ["Plain.some_name"]
    assert names(old_attribute) == ["Plain.some_name"]
    assert names(slot) == ["Slotted.second"]
    assert names(generator) == ["generator (local 'argument')"]
    assert any(text.endswith("closure variable 'target')") for text in names(closure))
    assert any(text.endswith("Holder.held") for text in names(class_attribute))
    assert any("tuple[0]" in text or "default" in text for text in names(default))
    assert names(deep) == ["tuple[0]"]
    assert names(lambda t: functools.partial(t.__class__, t)) == ["tuple[0]"]
    assert names(lambda t: types.MethodType(print, t)) == ["method.__self__"]
    assert names(lambda t: weakref.ref(t)) == []
    assert names(lambda t: types.SimpleNamespace(a=t)) == ["SimpleNamespace.a"]
    assert "_lru_cache_wrapper (as a cached argument or result)" in names(
        lambda t: (cached(t), cached)[1]
    )


def test_a_module_names_its_globals():
    assert f"{__name__}.kept_by_module" in texts(kept_by_module)


def test_what_c_holds_is_counted():
    target = Plain()
    before = wrasse.explain(target).to_dict()["from_c"]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(target))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(target))
    try:
        assert wrasse.explain(target).to_dict()["from_c"] == before + 2 == 2
        assert "C code: 2 references" in str(wrasse.explain(target))
    finally:
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(target))
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(target))


def test_many_holders_are_summed_up():
    target = Plain()
    # No comprehension: in 3.11 that is a function, with a cell for the variable.
    holders = list(map(list, zip([target] * 1000, strict=True)))
    shown = wrasse.explain(target, limit=7).to_dict()
    assert sum(holder["text"] == "list[0]" for holder in shown["holders"]) == 7
    assert shown["others"] == [{"type": "list", "objects": 993}]
    del holders


def test_holders_are_those_that_gc_finds():
    target = Plain()
    keep = [[target], {"a": target}, (target, 1), Slotted(), Plain(), {target}]
    keep[3].first = keep[4].other = target
    vars(keep[4])
    expected = {id(each) for each in gc.get_referrers(target)} - {id(sys._getframe())}
    fields = wrasse.explain(target, limit=100).to_dict()
    objects = [h for h in fields["holders"] if h["kind"] != "local"]
    assert len(objects) == len(expected)
    counted = sum(h["references"] for h in fields["holders"])
    assert counted + fields["from_c"] == fields["references"] == sys.getrefcount(target) - 1


def test_immortal_objects_are_named_so():
    for each in (None, True, ..., int):
        assert wrasse.explain(each).to_dict()["immortal"]
        assert "immortal" in str(wrasse.why_alive(each))
        assert wrasse.why_alive(each)


def test_another_threads_variables_are_found():
    ready, done = threading.Event(), threading.Event()
    box = []

    def work():
        of_the_thread = Plain()
        box.append(weakref.ref(of_the_thread))
        ready.set()
        done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        text = next(t for t in texts(box[0]()) if "of_the_thread" in t)
        assert text.startswith("local 'of_the_thread' in ")
        assert text.endswith(", in another thread)")
    finally:
        done.set()
        thread.join()


# --- why_alive ---


def test_a_path_begins_at_a_module():
    session = Plain()
    session.user = user = Plain()
    cache["x"] = [0, 0, 0, session]
    reference = weakref.ref(user)
    del session, user
    (path,) = wrasse.why_alive(reference()).paths
    assert path == f"{__name__}.cache['x'] → list[3] → Plain.user"


def test_only_a_cycle_is_said_and_drawn():
    parent, child = Plain(), Plain()
    parent.child, child.parent = child, parent
    reference = weakref.ref(parent)
    assert wrasse.why_alive(parent)
    gc.disable()
    try:
        del parent, child
        reason = wrasse.why_alive(reference())
        assert not reason
        assert reason.paths == []
        assert reason.to_dict()["cycle"] == "Plain.child → Plain.parent → Plain"
        assert "only a cycle keeps it" in str(reason)
    finally:
        gc.enable()
    gc.collect()
    assert reference() is None


def test_what_hangs_on_a_cycle_says_so():
    ring = Plain()
    ring.ring = ring
    ring.tail = [Plain()]
    reference = weakref.ref(ring.tail[0])
    gc.disable()
    try:
        del ring
        reason = wrasse.why_alive(reference())
        assert not reason
        text = reason.to_dict()["cycle"]
        assert text == "Plain.ring → Plain, which leads to it: Plain.tail → list[0]"
    finally:
        gc.enable()


def test_nothing_but_the_call():
    reason = wrasse.why_alive(Plain())
    assert not reason
    assert "nothing but this call holds it" in str(reason)


def test_local_variables_are_roots():
    holder = {"k": [Plain()]}
    (path,) = wrasse.why_alive(holder["k"][0]).paths
    assert path.startswith("local 'holder' in ")
    assert path.endswith(" → dict['k'] → list[0]")


def test_several_paths_come_by_several_holders():
    target = Plain()
    holders = [[target] for _ in range(50)]
    reason = wrasse.why_alive(target, limit=3)
    assert len(reason.paths) == len(set(reason.paths)) == 3
    assert "and by other paths" in str(reason)
    del holders


def test_paths_are_as_short_as_a_naive_search_finds():
    code = """
        import gc, random, sys, weakref, wrasse
        class Node:
            pass
        random.seed(%d)
        nodes = [Node() for _ in range(80)]
        for node in nodes:
            node.to = [random.choice(nodes) for _ in range(2)]
        start = nodes[0]
        targets = [weakref.ref(node) for node in nodes[1:]]
        distances, queue = {id(start): 0}, [start]
        for node in queue:
            for other in node.to:
                if id(other) not in distances:
                    distances[id(other)] = distances[id(node)] + 1
                    queue.append(other)
        gc.disable()
        del nodes, node, other, queue
        for target in targets:
            if target() is None:
                continue
            reason = wrasse.why_alive(target(), limit=1)
            expected = distances.get(id(target()))
            if expected is None:
                assert not reason, reason
            else:
                (path,) = reason.paths
                assert path.startswith('__main__.start → Node.to → list['), path
                assert path.count('Node.to') == expected, (path, expected)
    """
    for seed in range(2):
        run(code % seed)


# --- heap ---


def test_sizes_are_those_of_getsizeof():
    code = """
        import array, collections, datetime, decimal, enum, functools, io, random, re, struct
        import sys, types, weakref, wrasse
        class Plain:
            pass
        class Slotted:
            __slots__ = ("first", "second")
        class Measured:
            def __sizeof__(self):
                raise RuntimeError
        samples = [
            b"", b"x", b"x" * 1000, "", "x", "x" * 1000, "é" * 10, "漢" * 10, "🐟" * 10,
            0, 1, -1, 2**30, 2**1000, 1.5, 1j, None, True, ...,
            (), (1,), (1, 2, 3), [], [1], list(range(100)), {}, {"a": 1},
            dict.fromkeys(range(1000)), set(), {1}, set(range(1000)), frozenset(range(50)),
            bytearray(100), range(3), slice(1), Plain(), Slotted(), Plain, int, type, print, len,
            sys, Plain.__dict__, compile("x = 1", "f", "exec"), collections.deque(range(200)),
            collections.OrderedDict(a=1), collections.defaultdict(list),
            collections.Counter("abc"), types.SimpleNamespace(a=1), object(), weakref.ref(Plain),
            ValueError("x"), (i for i in ()), memoryview(b"abc"), functools.partial(print),
            functools.lru_cache(print), property(), classmethod(print), iter([]), zip(),
            types.MethodType(print, 1), sys._getframe(), array.array("d", range(50)),
            io.BytesIO(b"x" * 5000), re.compile("a|b"), struct.Struct("ii"), random.Random(),
            decimal.Decimal("1.5"), datetime.datetime.now(), enum.Enum("E", "a b").a,
        ]
        wrong = {}
        for sample in samples:
            size = wrasse.explain(sample).to_dict()["size"]
            if size != sys.getsizeof(sample):
                wrong[type(sample)] = (size, sys.getsizeof(sample))
        assert wrong == {}, wrong
        assert wrasse.explain(Measured()).to_dict()["size"] > 0
    """
    run(code)


def test_all_objects_are_counted_once():
    code = """
        import gc, sys, wrasse
        class Item:
            __slots__ = ("value",)
        wrasse.heap()
        before = {row["type"]: row for row in wrasse.heap().types}
        before = {name: before[name] for name in ("str", "float")}
        items = [Item() for _ in range(10_000)]
        shared = float("10.5")
        for number, item in enumerate(items):
            item.value = f"text {number}" if number % 2 else shared
        after = {row["type"]: row for row in wrasse.heap().types}
        def more(name, column="objects"):
            return after[name][column] - before.get(name, {column: 0})[column]
        assert more("__main__.Item") == 10_000
        assert more("__main__.Item", "shallow") == 10_000 * sys.getsizeof(items[0])
        assert 4_900 <= more("str") < 5_100, more("str")
        assert 1 <= more("float") < 5, more("float")
        strings = sum(sys.getsizeof(item.value) for item in items[1::2])
        assert abs(more("str", "shallow") - strings) < 10_000
        owned = 10_000 * sys.getsizeof(items[0]) + strings
        assert after["__main__.Item"]["retained"] == owned
        del item, number
        big = wrasse.heap().biggest(1)[0]
        assert big["path"] == "__main__.items", big
        assert big["retained"] == owned + sys.getsizeof(items), (big, owned)
    """
    run(code)


def test_retained_is_what_goes_when_the_object_goes():
    code = """
        import gc, random, sys, wrasse
        class Node:
            __slots__ = ("to", "payload")
        random.seed(%d)
        nodes = [Node() for _ in range(150)]
        for node in nodes:
            node.to = [random.choice(nodes) for _ in range(random.randrange(3))]
            node.payload = b"x" * 100_000
        roots = nodes[:3]
        def reachable(roots, without=None):
            seen, queue = {}, [r for r in roots if r is not without]
            for node in queue:
                if id(node) not in seen:
                    seen[id(node)] = node
                    queue += [t for t in node.to if t is not without]
            return seen
        alive = reachable(roots)
        expected = []
        for node in alive.values():
            left = reachable(roots, node)
            expected.append(sum(
                sys.getsizeof(n) + sys.getsizeof(n.to) + sys.getsizeof(n.payload)
                for key, n in alive.items() if key not in left))
        expected.sort(reverse=True)
        del node, nodes, alive, reachable, left
        gc.collect()
        heap = wrasse.heap(limit=3000)
        found = [row["retained"] for row in heap.biggest(3000) if row["type"] == "__main__.Node"]
        assert found == expected[:len(found)] and len(found) == len(expected), (found, expected)
    """
    for seed in range(2):
        run(code % seed)


def test_a_large_string_inside_something_is_found_with_its_path():
    cache["text"] = "x" * 50_000_000
    rows = wrasse.heap().biggest(5)
    assert any(
        row["type"] == "str" and row["path"] == f"{__name__}.cache['text']" for row in rows
    ), rows


def test_what_only_c_holds_is_named_so_where_few_are_asked_for():
    code = """
        import ctypes
        import wrasse
        hidden = [None] * 1_000_000
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(hidden))
        del hidden
        class Link: pass
        first = link = Link()
        for _ in range(50):
            link.next = link = Link()
        link.load = [None] * 2_000_000
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(link.load))
        del link
        rows = [[object() for _ in range(1000)] for _ in range(40)]
        for limit in 3, 10, 100:
            paths = {row["shallow"]: row["path"] for row in wrasse.heap(limit=limit).biggest(limit)}
            assert paths[8_000_056] == "C code", paths
            assert paths[16_000_056].endswith(".load"), paths
    """
    run(code)


def test_cycles_are_drawn_and_alike_ones_counted_together():
    code = """
        import gc, wrasse
        gc.collect(); gc.disable()
        class Parent: pass
        class Child: pass
        def pair():
            parent, child = Parent(), Child()
            parent.child, child.parent = child, parent
            return parent
        kept = [pair() for _ in range(7)]
        for _ in range(5):
            pair()
        row = next(r for r in wrasse.heap().cycles() if "Parent" in r["path"])
        assert sorted(row["path"].split(" → ")[:2]) == ["Child.parent", "Parent.child"], row
        assert (row["cycles"], row["unreachable"]) == (12, 5), row
        assert wrasse.heap().to_dict()["unreachable_objects"] >= 10
    """
    run(code)


def test_garbage_does_not_keep_what_is_alive_from_being_retained():
    code = """
        import gc, wrasse
        gc.disable()
        class Node: pass
        holder = Node(); holder.load = [b"x" * 1_000_000]
        ring = Node(); ring.ring = ring; ring.also = holder.load
        del ring
        big = wrasse.heap().biggest(1)[0]
        assert big["type"] == "__main__.Node" and big["path"] == "__main__.holder", big
    """
    run(code)


def test_json_and_dict_agree():
    heap = wrasse.heap(limit=5)
    assert json.loads(heap.to_json()) == heap.to_dict()
    assert heap.objects == sum(row["objects"] for row in heap.types)
    assert heap.bytes == sum(row["shallow"] for row in heap.types)
    assert len(heap.biggest(100)) == 5
    assert any(row["module"] == "sys" for row in heap.by_module())
    assert "objects" in str(heap)


# --- what must not happen ---


def test_nothing_is_kept_alive_and_nothing_is_left_behind():
    target = Plain()
    target.own = [target.__class__]
    reference = weakref.ref(target)
    answers = [wrasse.explain(target), wrasse.why_alive(target), wrasse.heap()]
    del target
    assert reference() is None
    del answers
    wrasse.heap()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5):
        wrasse.heap()
    gc.collect()
    assert abs(len(gc.get_objects()) - before) < 10


def test_no_code_of_the_program_runs():
    called = []

    class Hostile:
        def spy(self, *_args):
            called.append(1)
            raise RuntimeError

        __repr__ = __str__ = __eq__ = __sizeof__ = __len__ = __iter__ = __bool__ = spy
        __getattribute__ = __hash__ = __dir__ = spy

        @property
        def __class__(self):
            called.append(2)
            raise RuntimeError

        @property
        def __dict__(self):
            called.append(3)
            raise RuntimeError

    class Meta(type):
        def __getattribute__(cls, name):
            called.append(4)
            raise RuntimeError

        __repr__ = __hash__ = __eq__ = __getattribute__

    hostile, meta = Hostile(), Meta("Lying", (), {})
    instance = object.__new__(meta)
    proxy = weakref.proxy(hostile)
    holder = [hostile, meta, instance, proxy, {"k": hostile}]
    called.clear()
    for each in [hostile, instance, proxy, holder]:
        str(wrasse.explain(each))
        str(wrasse.why_alive(each))
    str(wrasse.explain(meta))
    wrasse.heap().biggest()
    body = {"__len__": Hostile.spy, "__getitem__": Hostile.spy}
    named_like = type("collections.deque", (), body)()
    for each in [named_like, type(named_like)]:
        str(wrasse.explain(each))
        str(wrasse.why_alive(each))
    assert called == []


def test_a_chain_of_a_million_and_a_list_of_ten_million():
    code = """
        import gc, wrasse
        gc.disable()
        chain = None
        for _ in range(1_000_000):
            chain = [chain]
        end = object()
        row = [end] * 10_000_000
        heap = wrasse.heap()
        assert heap.biggest(2)[0]["path"] == "__main__.row"
        assert heap.biggest(2)[1]["path"] == "__main__.chain"
        last = chain
        while last[0] is not None:
            last = last[0]
        reason = wrasse.why_alive(last)
        assert len(str(reason)) < 20_000
        assert "… " in str(reason), reason
        fields = wrasse.explain(end).to_dict()
        counts = sorted(h["references"] for h in fields["holders"])
        assert counts == [1, 10_000_000], fields
        del last
        while chain:
            chain = chain[0]
    """
    run(code)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_look_takes_little_beside_what_it_looks_at(shape):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WRASSE")}
    command = [sys.executable, str(BENCHES / "looks.py"), shape, "1000000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["objects"] > 900_000
    for name, call in found["calls"].items():
        assert call["times"] <= 1.2, (name, call)


def test_threads_run_and_objects_die_meanwhile():
    code = """
        import threading, wrasse
        class Plain:
            pass
        stop = threading.Event()
        def churn():
            kept = {}
            while not stop.is_set():
                for number in range(200):
                    node = Plain()
                    node.self, node.other = node, [number]
                    kept[number % 50] = node
                def generator():
                    yield from ([x] for x in range(3))
                list(generator())
        threads = [threading.Thread(target=churn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            wrasse.heap(limit=20)
            wrasse.explain(threads)
            wrasse.why_alive(threads[0])
        stop.set()
        for thread in threads:
            thread.join()
    """
    run(code)
    run(code, WRASSE="gc")


def test_from_within_finalizers_callbacks_and_generators():
    said = []

    class Dying:
        def __del__(self):
            said.append(bool(wrasse.why_alive(self)))
            wrasse.heap(limit=1)

    ring = Dying()
    ring.ring = ring
    del ring
    gc.collect()
    assert len(said) == 1

    def callback(phase, info):
        wrasse.heap(limit=1)
        wrasse.explain(info)
        said.append(phase)

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert said[-1] == "stop"

    def steps():
        inside = Plain()
        yield wrasse.explain(inside).to_dict()

    fields = next(steps())
    assert fields["references"] == 1
    assert fields["text"].splitlines()[1].startswith("  local 'inside' in ")


def test_through_map_and_other_callers_in_c():
    targets = [Plain(), Plain()]
    answers = list(map(wrasse.explain, targets))
    assert all("list[" in str(answer) for answer in answers)
    assert functools.partial(wrasse.why_alive, targets[0])()
    assert list(map(bool, map(wrasse.why_alive, targets))) == [True, True]


@pytest.mark.parametrize("words", ["0", "gc", "gc,alloc,tracemalloc"])
def test_with_wrasse_on_and_off(words):
    code = """
        import gc, sys, wrasse
        kept = [object()]
        assert wrasse.why_alive(kept[0]).paths == ["__main__.kept[0]"]
        gc.collect(); gc.freeze()
        assert wrasse.why_alive(kept[0]).paths == ["__main__.kept[0]"]
        assert wrasse.heap().objects > 3000
        assert gc.isenabled()
        gc.disable(); wrasse.heap(); assert not gc.isenabled()
    """
    run(code, WRASSE=words)


def test_where_the_lists_are_not_known_gc_is_asked():
    code = """
        import gc, wrasse
        kept = [object(), {"a": [1]}]
        assert wrasse.explain(kept[1]).to_dict()["references"] == 1
        wrasse.heap()
        lists = wrasse.heap().objects
        # The self-check compares this list with the one that the collector uses.
        gc.garbage = []
        other = wrasse.heap().objects
        assert abs(lists - other) < 200, (lists, other)
        assert wrasse.explain(kept[1]).to_dict()["from_c"] == 0
        assert wrasse.why_alive(kept[0]).paths == ["__main__.kept[0]"]
    """
    run(code)


def test_a_subinterpreter_answers_for_itself():
    code = """
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        import wrasse
        other = interpreters.create()
        program = '''if True:
            import wrasse
            here = [object()]
            assert wrasse.why_alive(here[0]).paths == ["__main__.here[0]"]
            assert wrasse.heap().objects > 1000
        '''
        failed = interpreters.run_string(other, program)
        assert failed is None, failed
        assert wrasse.heap().objects > 1000
        interpreters.destroy(other)
        assert wrasse.heap().objects > 1000
    """
    run(code)


def test_too_little_memory_is_an_exception():
    code = """
        import resource, wrasse
        wrasse.heap()
        kept = [[i] for i in range(300_000)]
        # Not the address space: the C library may have reserved some of it already.
        with open("/proc/self/status") as file:
            data = next(int(line.split()[1]) for line in file if line.startswith("VmData"))
        limit = data * 1024 + 1_000_000
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        try:
            wrasse.heap()
        except MemoryError:
            print("refused")
    """
    assert run(code) == "refused\n"


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError):
        wrasse.explain()
    with pytest.raises(ValueError, match="negative"):
        wrasse.explain([], limit=-1)
    with pytest.raises(ValueError, match="negative"):
        wrasse.heap(limit=-1)
    with pytest.raises(TypeError):
        wrasse.heap(limit="many")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = wrasse.nothing


def test_the_documentation_shows_what_is_printed(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "heap.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    script = tmp_path / "app.py"
    script.write_text(program, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WRASSE")}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def without_sizes(output):
        return re.sub(r"\d+ B", "N B", output)

    assert (done.returncode, done.stderr) == (0, "")
    assert without_sizes(done.stdout) == without_sizes(shown)

"""Does everything at once that a memory manager may find hard, and checks what it holds.

    stress.py [--rounds N] [--seed N] [--threads N] [--only NAME,...]

Each round picks pieces of work at random: in threads, in subinterpreters, in forked children,
under a memory limit. Whatever a piece builds it also checks; a wrong value, a lost or doubled
finalizer or a crash ends the program with an exit code other than 0. It needs nothing of wrasse
and must run the same on stock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import os
import random
import sys
import threading
import time
import traceback
import tracemalloc
import types
import warnings
import weakref
from collections.abc import Callable, Iterator

try:
    import _interpreters as interpreters  # 3.13
except ImportError:
    import _xxsubinterpreters as interpreters  # 3.11, 3.12

Random = random.Random
Piece = Callable[[Random], None]
PIECES: dict[str, Piece] = {}


def piece(function: Piece) -> Piece:
    """Work that any thread may do at any time."""
    PIECES[function.__name__] = function
    return function


class Node:
    """Something in a cycle, with values that must stay what they were."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.text = f"node {number}"
        self.edges: list[Node] = []

    def check(self) -> None:
        """Nobody wrote over it."""
        assert self.text == f"node {self.number}", (self.text, self.number)


def graph(draw: Random, size: int) -> list[Node]:
    """Nodes that refer to each other at random."""
    nodes = [Node(number) for number in range(size)]
    for node in nodes:
        node.edges.extend(draw.choices(nodes, k=draw.randrange(4)))
    return nodes


@piece
def cycles(draw: Random) -> None:
    """Garbage of all ages."""
    kept: list[Node] = []
    for _ in range(20):
        nodes = graph(draw, draw.randrange(1, 200))
        kept.extend(draw.sample(nodes, min(3, len(nodes))))
        del nodes
        if draw.random() < 0.2:
            gc.collect(draw.randrange(3))
        if draw.random() < 0.3:
            del kept[: draw.randrange(len(kept) + 1)]
    seen: set[int] = set()
    while kept:
        node = kept.pop()
        node.check()
        if id(node) not in seen:
            seen.add(id(node))
            if len(seen) < 500:
                kept.extend(node.edges)


class Finalized(Node):
    """Says when it ends; some come back once."""

    ended: list[int]
    saved: list[Finalized]

    def __init__(self, number: int, ended: list[int], saved: list[Finalized]) -> None:
        super().__init__(number)
        self.ended, self.saved = ended, saved

    def __del__(self) -> None:
        """What a finalizer may do: look, save, allocate, collect."""
        self.check()
        for edge in self.edges:
            edge.check()
        self.ended.append(self.number)
        if self.number % 7 == 0:
            self.saved.append(self)
        if self.number % 11 == 0:
            graph(random.Random(self.number), 5)
        if self.number % 13 == 0:
            gc.collect(0)


@piece
def finalizers(draw: Random) -> None:
    """Each runs once, whatever it does."""
    ended: list[int] = []
    saved: list[Finalized] = []
    count = draw.randrange(1, 300)
    nodes = [Finalized(number, ended, saved) for number in range(count)]
    for node in nodes:
        node.edges.extend(draw.choices(nodes, k=2))
    del node, nodes
    # Other threads may put everything aside, or be in a collection themselves.
    while len(ended) < count:
        while saved:
            saved.pop().check()
        gc.unfreeze()
        gc.collect()
    del saved[:]
    gc.collect()
    assert sorted(ended) == list(range(count)), "a finalizer ran twice"


@piece
def weak_references(draw: Random) -> None:
    """Cleared, told, and never leading to anything in pieces."""
    told: list[int] = []
    values: weakref.WeakValueDictionary[int, Node] = weakref.WeakValueDictionary()
    keys: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()
    nodes = graph(draw, 100)
    watches = []
    for node in nodes:
        number = node.number
        watches.append(weakref.ref(node, lambda _, number=number: told.append(number)))
        values[number] = node
        keys[node] = node.text
        weakref.finalize(node, told.append, number)
    for node in list(values.values()):
        node.check()
    for node, text in list(keys.items()):
        assert node.text == text
    del node, nodes
    while len(told) < 200:
        gc.unfreeze()
        gc.collect()
    assert not any(watch() for watch in watches)
    assert not values and not keys
    assert sorted(told) == sorted([*range(100), *range(100)])


@piece
def generators(draw: Random) -> None:
    """Suspended frames of all kinds, some in cycles with themselves."""

    def numbers(limit: int, box: list[object]) -> Iterator[int]:
        mine = [Node(number) for number in range(limit)]
        try:
            for node in mine:
                node.check()
                yield node.number
        finally:
            box.append(limit)

    box: list[object] = []
    suspended = []
    for _ in range(50):
        generator = numbers(draw.randrange(1, 30), box)
        next(generator)
        if draw.random() < 0.5:
            box.append(generator)
        suspended.append(generator)
    for generator in suspended[::2]:
        generator.close()
    for generator in suspended[1::4]:
        with contextlib.suppress(KeyError):
            generator.throw(KeyError)
    del generator, suspended
    box.clear()

    async def task(depth: int) -> int:
        await asyncio.sleep(0)
        return depth if depth == 0 else 1 + await task(depth - 1)

    async def tasks() -> list[int]:
        return await asyncio.gather(*(task(depth) for depth in range(20)))

    assert asyncio.run(tasks()) == list(range(20))


@piece
def code_objects(draw: Random) -> None:
    """Functions that are made, run and thrown away, with lines far down."""
    for number in range(20):
        lines = draw.randrange(300)
        source = "\n" * lines + (
            "def function(count):\n"
            "    kept = [str(n) for n in range(count)]\n"
            "    return {text: [text] for text in kept}, lambda: kept\n"
        )
        module = types.ModuleType(f"made_{number}")
        exec(compile(source, f"<made {draw.random()}>", "exec"), module.__dict__)
        table, inner = module.function(50)
        assert list(table) == inner() == [str(n) for n in range(50)]
        module.me = module
        if draw.random() < 0.5:
            module.function = module.function.__code__.replace(co_name="other")
        del module, table, inner


@piece
def exceptions(draw: Random) -> None:
    """Tracebacks hold frames, which hold the exception."""

    def fail(depth: int, nodes: list[Node]) -> None:
        if depth == 0:
            raise ValueError(nodes)
        try:
            fail(depth - 1, graph(draw, 3))
        except ValueError as error:
            kept = error
            kept.nodes = nodes
            raise KeyError(depth) from error
        except KeyError as error:
            error.add_note(str(depth))
            kept = error
            raise

    for _ in range(5):
        try:
            fail(draw.randrange(1, 60), [])
        except (KeyError, ValueError) as error:
            last: BaseException | None = error
        while last is not None:
            for node in getattr(last, "nodes", ()):
                node.check()
            last = last.__cause__

    def forever() -> None:
        forever()

    with contextlib.suppress(RecursionError):
        forever()


@piece
def sizes(draw: Random) -> None:
    """Blocks that grow and shrink across every boundary."""
    buffers: list[tuple[bytearray, int]] = []
    for _ in range(200):
        size = int(2 ** draw.uniform(0, 17))
        fill = draw.randrange(256)
        buffers.append((bytearray([fill]) * size, fill))
        if draw.random() < 0.3:
            index = draw.randrange(len(buffers))
            buffer, fill = buffers[index]
            size = int(2 ** draw.uniform(0, 17))
            buffer += bytes([fill]) * max(0, size - len(buffer))
            del buffer[size:]
        if draw.random() < 0.3:
            del buffers[draw.randrange(len(buffers))]
    for buffer, fill in buffers:
        assert buffer.count(fill) == len(buffer)
    table = {str(number): [number] for number in range(draw.randrange(3000))}
    assert all(value == [int(key)] for key, value in table.items())
    text = "".join(chr(draw.randrange(32, 3000)) for _ in range(500))
    assert text.encode().decode() == text and text[::-1][::-1] == text


@piece
def settings(draw: Random) -> None:
    """Turns whatever there is to turn, and looks at everything."""
    choice = draw.randrange(8)
    if choice == 0:
        gc.freeze()
        graph(draw, 20)
        gc.unfreeze()
    elif choice == 1:
        gc.set_threshold(draw.randrange(1, 2000), draw.randrange(1, 20), draw.randrange(1, 20))
    elif choice == 2:
        gc.disable()
        graph(draw, 200)
        gc.enable()
    elif choice == 3:
        nodes = graph(draw, 10)
        referrers = gc.get_referrers(nodes[0])
        assert any(referrer is nodes for referrer in referrers)
        assert nodes[0].text in gc.get_referents(nodes[0]) or gc.get_referents(nodes[0])
    elif choice == 4:
        assert all(gc.is_tracked(thing) for thing in gc.get_objects()[:100] if type(thing) is Node)
    elif choice == 5:
        with_callback: list[str] = []

        def told(phase: str, info: dict[str, int]) -> None:
            with_callback.append(phase)

        gc.callbacks.append(told)
        gc.collect(draw.randrange(3))
        gc.callbacks.remove(told)
        # Not if another thread was collecting just then.
        assert with_callback in ([], ["start", "stop"]) or threading.active_count() > 1
    elif choice == 6:
        assert len(gc.get_stats()) == 3 and len(gc.get_count()) == 3
    else:
        gc.collect()


LIMIT_NEEDS = 1 << 40


def is_limited() -> bool:
    """Whether a limit is in force: without one, nothing may be filled up."""
    if "limit=" not in os.environ.get("WRASSE", ""):
        return False
    try:
        import wrasse
    except ImportError:
        return False
    return wrasse.status()["alloc"] == "wrasse"


LIMITED = False


@piece
def out_of_memory(draw: Random) -> None:
    """More than there is: MemoryError where it happens, and everything goes on."""
    kept = graph(draw, 50)
    try:
        bytearray(LIMIT_NEEDS)
    except MemoryError:
        pass
    else:
        raise AssertionError("so much memory?")
    if LIMITED:
        hoard: list[object] = []
        size = draw.choice([40, 500, 5000, 100_000])
        try:
            while True:
                hoard.append(bytes(size) if draw.random() < 0.9 else {size: [size]})
        except MemoryError:
            pass
        del hoard
    for node in kept:
        node.check()


def traced(draw: Random) -> None:
    """The program's own tracing, on and off; the main thread's business."""
    if tracemalloc.is_tracing():
        snapshot = tracemalloc.take_snapshot()
        assert snapshot.statistics("lineno")
        if draw.random() < 0.5:
            tracemalloc.clear_traces()
        if draw.random() < 0.7:
            tracemalloc.stop()
    else:
        tracemalloc.start(draw.choice([1, 5, 25]))
        nodes = graph(draw, 50)
        tracemalloc.get_object_traceback(nodes[0])
        assert tracemalloc.get_traced_memory()[0] > 0


INSIDE = """
import gc, weakref
class Node:
    pass
def make():
    nodes = [Node() for _ in range(COUNT)]
    for node in nodes:
        node.all = nodes
        node.text = str(len(nodes)) * 3
    return nodes
for turn in range(5):
    nodes = make()
    watch = weakref.ref(nodes[0])
    assert all(node.text == str(COUNT) * 3 for node in nodes)
    del nodes
    while watch() is not None:
        gc.collect()
left = make()
table = {str(n): bytearray(n) for n in range(COUNT)}
gc.freeze()
"""


def subinterpreters(draw: Random) -> None:
    """Several at once, some at work in threads while others end."""
    made = [new_interpreter() for _ in range(draw.randrange(1, 4))]
    failures: list[object] = []

    def work(interpreter: object, count: int) -> None:
        try:
            failure = interpreters.run_string(interpreter, INSIDE.replace("COUNT", str(count)))
            if failure is not None:
                failures.append(failure)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=(interpreter, draw.randrange(1, 300)))
        for interpreter in made
    ]
    for thread in threads:
        thread.start()
    graph(draw, 100)
    for thread in threads:
        thread.join()
    draw.shuffle(made)
    for interpreter in made:
        interpreters.destroy(interpreter)
        gc.collect(0)
    assert not failures, failures


def new_interpreter() -> object:
    """One with a GIL of its own where there are such."""
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated")
    if sys.version_info >= (3, 12):
        return interpreters.create(isolated=True)
    return interpreters.create()


def fork(draw: Random) -> None:
    """A child does some work of its own, while threads of the parent are at theirs."""
    seed = draw.random()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            draw = Random(seed)
            # Not those that wait for a collection: if another thread was in one when
            # the process was copied, the child has none for ever, on stock too.
            for name in ("cycles", "code_objects", "exceptions", "sizes"):
                PIECES[name](draw)
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"a child ended with status {status}"


def is_refusal(error: BaseException) -> bool:
    """Whether another thread is at the limit. CPython loses the exception where it has no memory
    for a frame's object while it unwinds (stock too: `_testcapi.set_nomemory(4, 5)` before deep
    recursion)."""
    is_lost = isinstance(error, SystemError) and "without exception set" in str(error)
    return LIMITED and (is_lost or isinstance(error, MemoryError))


def run(rounds: int, seed: int, threads: int, names: list[str]) -> None:
    """Threads do pieces at random; the main thread forks, traces and makes interpreters."""
    failures: list[BaseException] = []

    def work(draw: Random) -> None:
        try:
            for _ in range(rounds):
                name = draw.choice(names)
                try:
                    PIECES[name](draw)
                except (MemoryError, SystemError) as error:
                    if not is_refusal(error):
                        raise
        except BaseException as error:
            failures.append(error)

    workers = [
        threading.Thread(target=work, args=(Random(seed * 1000 + number),))
        for number in range(threads)
    ]
    for worker in workers:
        worker.start()
    draw = Random(seed)
    # First with tracing, then with interpreters: stock 3.12 cannot do both at once. Where a thread
    # may meet the limit anywhere, a child or an interpreter may not even begin.
    own: list[list[Piece]] = [[], []] if LIMITED else [[traced, traced], [subinterpreters]]
    for number in range(rounds):
        second_half = 2 * number >= rounds
        if second_half and tracemalloc.is_tracing():
            tracemalloc.stop()
        others = [PIECES[draw.choice(names)], *([] if LIMITED else [fork])]
        try:
            draw.choice(own[second_half] + others)(draw)
        except (MemoryError, SystemError) as error:
            if not is_refusal(error):
                raise
    for worker in workers:
        worker.join()
    for failure in failures:
        traceback.print_exception(failure)
    if failures:
        sys.exit(f"{len(failures)} threads failed")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=600, help="seconds until it is given up")
    parser.add_argument("--only", default="", help="pieces to choose from")
    options = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(options.timeout, exit=True)
    # Forking beside threads is what is tested.
    warnings.simplefilter("ignore", DeprecationWarning)
    names = [name for name in options.only.split(",") if name] or list(PIECES)
    global LIMITED
    LIMITED = is_limited()
    if LIMITED:
        # A finalizer or callback that runs into the limit cannot say so, only not do its work.
        names = [name for name in names if name not in ("finalizers", "weak_references")]
    for name in names:
        if name not in PIECES:
            parser.error(f"no piece {name!r}; there are {', '.join(PIECES)}")
    print(f"seed {options.seed}", flush=True)
    run(options.rounds, options.seed, options.threads, names)
    gc.unfreeze()
    gc.collect()
    print("done", flush=True)


if __name__ == "__main__":
    main()

"""Tracebacks of random programs: wrasse's against the stock tracer's, block by block.

The program calls itself at random through everything that makes a frame: functions, closures,
generators that are resumed elsewhere, coroutines, initialisers, callbacks from C, code that is
made and dropped again, and threads. Every block that it keeps has a size of its own, so each can
be compared with the same block under the stock tracer. None of them comes from a free list.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from command import start

PROGRAM = r"""
import ast, asyncio, functools, gc, pickle, random, sys, threading

mode, limit, seed, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if mode == "program":
    import _tracemalloc
    _tracemalloc.start(limit)

kept = []
suspended = []
lock = threading.Lock()

def keep():
    # Sizes around every boundary: small, above 1 KiB, and beyond the largest pool block.
    number = len(kept)
    made = bytes(600 + number if number % 7 else 9000 + number)
    kept.append(made)

class Node:
    def __init__(self, rng, depth):
        self.rng = rng
        keep(); step(rng, depth)

class Call:
    def __call__(self, rng, depth):
        step(rng, depth)
        keep()

def plain(rng, depth):
    step(rng, depth)
    keep(); step(rng, depth - 1)

def closure(rng, depth):
    cell = bytearray(10)
    other = [rng]
    def inner(depth):
        nonlocal cell
        cell = other[:] and bytearray(5)
        step(other[0], depth)
        keep()
    inner(depth)
    return inner

def deep(rng, depth, more=None):
    if more is None:
        more = rng.randrange(60)
    if more:
        if rng.random() < 0.2:
            keep()
        return deep(rng, depth, more - 1)
    step(rng, depth)

def generator(rng, depth):
    for _ in range(3):
        keep()
        step(rng, depth)
        yield kept[-1]

def delegate(rng, depth):
    keep()
    yield from generator(rng, depth)

def drain(rng, depth):
    for _ in delegate(rng, depth):
        step(rng, depth - 1)

def suspend(rng, depth):
    made = rng.choice([generator, delegate])(rng, depth)
    next(made)
    suspended.append(made)

def resume(rng, depth):
    while suspended:
        made = suspended.pop(rng.randrange(len(suspended)))
        try:
            next(made)
        except (StopIteration, ValueError):
            # A ValueError: it is what is running.
            continue
        suspended.append(made)
        return

def throw(rng, depth):
    if suspended:
        made = suspended.pop()
        try:
            made.throw(KeyError(1))
        except (KeyError, ValueError):
            keep()

async def coroutine(rng, depth):
    keep()
    step(rng, depth)
    if rng.random() < 0.5:
        await coroutine(rng, depth - 1)
    keep()

def drive(rng, depth):
    try:
        coroutine(rng, min(depth, 4)).send(None)
    except StopIteration:
        pass

def callbacks(rng, depth):
    list(map(lambda _: step(rng, depth), range(2)))
    sorted([3, 1], key=lambda _: keep() or 0)
    functools.reduce(lambda a, b: keep(), [1, 2, 3])
    [step(rng, depth) for _ in range(1)]

def raising(rng, depth):
    try:
        step(rng, depth)
        raise KeyError
    except KeyError:
        keep()
    finally:
        step(rng, depth - 1)

def executed(rng, depth):
    # Made, run and dropped: another's memory is often in the same place.
    lines = "\n" * rng.randrange(30)
    names = {"keep": keep, "step": step, "rng": rng, "depth": depth}
    source = f"{lines}def f():\n  keep()\n  step(rng, depth)\n  keep()\nf()\n"
    exec(compile(source, f"<made {rng.randrange(5)}>", "exec"), names)

def scattered(rng, depth):
    # Lines in any order, near and far; the jump back asks again for what is before.
    body = "for _ in 1, 2:\n keep()\n keep();keep()\n step(rng, depth - 1)\n keep()\n" * 2
    tree = ast.parse(body + "keep()\n" * 20)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            line = rng.choice([1, rng.randrange(1, 9), rng.randrange(1, 70_000)])
            ends_at = line + rng.choice([0, 0, 3])
        if hasattr(node, "lineno"):
            node.lineno, node.end_lineno = line, ends_at
    code = compile(tree, "<scattered>", "exec")
    exec(code, {"keep": keep, "step": step, "rng": rng, "depth": depth})

class Dying:
    def __init__(self, rng):
        self.cycle = self
        self.rng = rng
    def __del__(self):
        keep()

def dying(rng, depth):
    Dying(rng)
    if rng.random() < 0.3:
        gc.collect()

KINDS = [
    Node, Call(), plain, closure, deep, drain, suspend, resume, throw, drive, callbacks, raising,
    executed, scattered, dying,
]

def step(rng, depth):
    if depth <= 0 or len(kept) > 6000:
        return
    for _ in range(rng.randrange(1, 4)):
        rng.choice(KINDS)(rng, depth - rng.randrange(1, 3))

def worker(seed):
    # One at a time, so that sizes are the same in each run, but through other threads' stacks.
    rng = random.Random(seed)
    for _ in range(4):
        with lock:
            order.wait_for(lambda: turn[0] % len(threads) == seed % len(threads))
            step(rng, 5)
            turn[0] += 1
            order.notify_all()

async def task(seed):
    rng = random.Random(seed)
    for _ in range(3):
        step(rng, 3)
        await asyncio.sleep(0)
        keep()

async def tasks():
    await asyncio.gather(*(task(seed + n) for n in range(6)))

gc.disable()
sys.setrecursionlimit(10_000)
rng = random.Random(seed)
for _ in range(40):
    step(rng, 7)
order = threading.Condition(lock)
turn = [0]
threads = [threading.Thread(target=worker, args=[n]) for n in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
asyncio.run(tasks())

if mode == "program":
    traces = _tracemalloc._get_traces()
else:
    from wrasse import _core
    traces = _core.profile_traces()
sizes = {sys.getsizeof(block) for block in kept}
assert len(sizes) == len(kept), "each size once"
found = {}
for domain, size, traceback, total in traces:
    # Other blocks may have the size of one of ours, but none is made on that line.
    if size in sizes and traceback[0] == ("<string>", 16):
        assert size not in found
        found[size] = (domain, traceback, total)
with open(out, "wb") as file:
    pickle.dump((len(kept), found), file)
"""


def traces(
    directory: Path, words: str, mode: str, limit: int, seed: int
) -> tuple[int, dict[int, tuple[int, tuple[tuple[str, int], ...], int]]]:
    """How many blocks the program kept, and the trace of each by its size."""
    out = directory / f"{words}-{mode}-{limit}"
    arguments = ["-X", "faulthandler", "-c", PROGRAM, mode, str(limit), str(seed), str(out)]
    done = start(arguments, None, None, WRASSE=words, PYTHONHASHSEED="0")
    assert done.code == 0, done.err[-3000:]
    assert "wrasse:" not in done.err, done.err
    return pickle.loads(out.read_bytes())


@pytest.mark.parametrize("limit", [1, 2, 10, 25, 120, 200])
def test_each_block_has_the_stock_traceback(tmp_path: Path, limit: int) -> None:
    count, stock = traces(tmp_path, "0", "program", limit, limit)
    assert count > 3000 and len(stock) == count
    for words in ("gc,tracemalloc", "gc,alloc,tracemalloc", "gc,alloc,tracemalloc,trace=25"):
        assert traces(tmp_path, words, "program", limit, limit) == (count, stock), words
    # The profile counts no frames that it does not keep.
    cut = {size: (domain, frames, len(frames)) for size, (domain, frames, _) in stock.items()}
    for words in (f"trace={limit}", f"gc,alloc,trace={limit}"):
        assert traces(tmp_path, words, "profile", limit, limit) == (count, cut), words


def test_the_line_that_is_compared() -> None:
    """The program tells its own blocks by the line that makes them."""
    lines = PROGRAM.split("\n")
    assert "made = bytes(" in lines[16 - 1], sys.version

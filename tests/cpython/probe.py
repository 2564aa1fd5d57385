"""Proves that a process started with WRASSE really runs on the parts of wrasse named as arguments.

compare.py passes this text to ``python -c``. It prints one line for each thing shown and exits
with 1 at the first that does not hold: a comparison of stock with stock would prove nothing.
"""

import gc
import subprocess
import sys
import tracemalloc
from typing import NoReturn

import wrasse
from wrasse import _core

PARTS = sys.argv[1:]
CHILD = "import sys; print('wrasse._core' in sys.modules)"


class Node:
    """Half of a reference cycle."""

    other: "Node"


def cycle() -> None:
    first, second = Node(), Node()
    first.other, second.other = second, first


def refuse(message: str) -> NoReturn:
    print(f"not proven: {message}")
    raise SystemExit(1)


def check_status() -> None:
    status = wrasse.status()
    for part in PARTS:
        if not str(status[part]).startswith("wrasse"):
            refuse(f"wrasse.status() says {part}: {status[part]}")
    print(f"status: {', '.join(PARTS)} are wrasse's")


def check_collector() -> None:
    before = _core.proof()
    for _ in range(20_000):
        cycle()
    automatic = _core.proof()["collections"][0] - before["collections"][0]
    for _ in range(10):
        cycle()
    found = gc.collect()
    after = _core.proof()
    full = after["collections"][2] - before["collections"][2]
    if automatic < 1:
        refuse("20,000 cycles caused no automatic collection by wrasse")
    if full < 1 or found < 20:
        refuse(f"gc.collect() was not wrasse's ({full} full collections, {found} objects found)")
    if list(after["stock_collections"]) != list(before["stock_collections"]):
        refuse(
            f"stock's collector ran: {before['stock_collections']} -> {after['stock_collections']}"
        )
    print(f"gc: {automatic} automatic and {full} full collections by wrasse, none by stock")


def check_tracer() -> None:
    before = _core.proof()["traced_starts"]
    tracemalloc.start()
    block = bytearray(100_000)
    line = sys._getframe().f_lineno - 1
    frame = tracemalloc.get_object_traceback(block)
    statistics = tracemalloc.take_snapshot().statistics("lineno")
    tracemalloc.stop()
    if _core.proof()["traced_starts"] - before != 1:
        refuse("tracemalloc.start() did not reach wrasse's tracer")
    if frame is None or frame[0].lineno != line or not any(s.size >= 100_000 for s in statistics):
        refuse("wrasse's tracer does not know who allocated a block")
    print("tracemalloc: start() reached wrasse's tracer, and it names the line of a block")


def check_children() -> None:
    for options, expected in (([], "True"), (["-I"], "True"), (["-E"], "True"), (["-S"], "False")):
        child = subprocess.run(
            [sys.executable, *options, "-c", CHILD], capture_output=True, text=True, check=False
        )
        if child.stdout.strip() != expected:
            refuse(f"python {' '.join(options)} as a child: {child.stdout}{child.stderr}")
    print("children: plain, -I and -E processes run on wrasse (-S cannot)")


check_status()
if "gc" in PARTS:
    check_collector()
if "tracemalloc" in PARTS:
    check_tracer()
check_children()

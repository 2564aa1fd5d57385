"""Lives through one phase of a large heap's life and prints what it cost, as one line of JSON.

    python pauses.py MODE OBJECTS

MODE is `build` (the heap comes into being), `churn` (trees of cycles are dropped over it) or `lose`
(nine tenths of it are let go while as many new objects come). OBJECTS is how many tracked objects
the heap has. Collections are timed from `gc.callbacks`, in CPU seconds of their thread; under
a pause target a slice counts as one.
"""

from __future__ import annotations

import gc
import sys
import time

import own


class Record:
    """One of the heap's objects."""

    __slots__ = ("following", "names", "numbers")

    def __init__(self, numbers: list[object], names: dict[str, object]) -> None:
        self.numbers = numbers
        self.names = names
        self.following: Record | None = None


def build(objects: int) -> list[Record]:
    """Records in rings of a hundred, each with a list and a dict that refer to the one before."""
    made: list[Record] = []
    first: Record | None = None
    before: Record | None = None
    for number in range(objects // 3):
        record = Record([before, number], {"number": number, "before": before})
        made.append(record)
        if number % 100 == 0:
            first = record
        if number % 100 == 99 and first is not None:
            first.following = record
        before = None if number % 100 == 99 else record
    return made


class Node:
    """A node of a tree whose nodes know their parents."""

    def __init__(self, parent: Node | None) -> None:
        self.parent = parent
        self.children: list[Node] = []
        if parent is not None:
            parent.children.append(self)


def grow(depth: int, parent: Node | None = None) -> None:
    """A tree of 341 nodes at depth 4."""
    node = Node(parent)
    if depth:
        for _ in range(4):
            grow(depth - 1, node)


class Meter:
    """Times collections."""

    def __init__(self) -> None:
        self.began = 0.0
        self.pauses: list[float] = []

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """As gc calls it."""
        del info
        if phase == "start":
            self.began = time.thread_time()
        else:
            self.pauses.append(time.thread_time() - self.began)


def main() -> None:
    """Lives through the phase that the command line names."""
    mode, objects = sys.argv[1], int(sys.argv[2])
    held: list[list[Record]] = []
    if mode != "build":
        # In parts of a hundred rings, which are let go one by one.
        held += [build(30_000) for _ in range(objects // 30_000)]
        gc.collect()
    meter = Meter()
    gc.callbacks.append(meter)
    begin = time.process_time()
    if mode == "build":
        held.append(build(objects))
    elif mode == "churn":
        for _ in range(objects // 1000):
            grow(4)
    elif mode == "lose":
        for number in range(len(held)):
            if number % 10:
                held[number] = build(30_000)
    else:
        raise SystemExit(f"no mode {mode}: there are build, churn and lose")
    cpu = time.process_time() - begin
    gc.callbacks.remove(meter)
    pauses = meter.pauses or [0.0]
    own.tell(cpu=cpu, collecting=sum(pauses), longest=max(pauses), peak_kib=own.kib("VmHWM"))


main()

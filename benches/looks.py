"""Builds one heap, looks at it, and prints what that took, as one line of JSON.

    python looks.py SHAPE OBJECTS

SHAPE is a name of SHAPES, OBJECTS about how many objects it gets, numbers and strings included.
For each of ``explain``, ``why_alive`` and ``heap`` it says the CPU seconds, and the peak of
resident memory as a multiple of what the process had before.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import own


class Slotted:
    """One slot."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class Record:
    """Attributes in a ``__dict__``."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = str(number)
        self.tags: list[str] = []


class Link:
    """A link of a list that is linked both ways, or one."""

    __slots__ = ("after", "before")

    def __init__(self, before: Link | None) -> None:
        self.before = before
        self.after: Link | None = None


class Node:
    """A node of a tree that knows its parent."""

    def __init__(self, parent: Node | None) -> None:
        self.parent = parent
        self.children: list[Node] = []


def integers(count: int) -> object:
    """Lists of a hundred numbers."""
    return [list(range(first, first + 100)) for first in range(1000, count, 100)]


def dicts(count: int) -> object:
    """A dict of small dicts that refer to it."""
    outer: dict[str, object] = {}
    for number in range(count // 3):
        outer[str(number)] = {"number": number + 1000, "outer": outer}
    return outer


def slots(count: int) -> object:
    """Objects with one slot, with nothing in it."""
    return [Slotted(None) for _ in range(count)]


def records(count: int) -> object:
    """Objects with a number, a string and a list."""
    return [Record(number) for number in range(1000, 1000 + count // 4)]


def linked(count: int) -> object:
    """A linked list."""
    last = None
    for _ in range(count):
        last = Link(last)
    return last


def linked_both_ways(count: int) -> object:
    """A list linked both ways: one cycle."""
    first = last = Link(None)
    for _ in range(count):
        last.after = Link(last)
        last = last.after
    return first


def tuples(count: int) -> object:
    """Tuples of a number, a string, and a list that they share."""
    shared: list[object] = []
    return [(number, str(number), shared) for number in range(1000, 1000 + count // 3)]


def documents(count: int) -> object:
    """JSON documents, parsed."""
    orders = [{"sku": "x", "count": 3, "parts": [1, 2, 3]} for _ in range(4)]
    address = {"street": "one", "city": "two", "geo": {"lat": 1.5, "lng": 2.5}}
    text = json.dumps({"name": "a", "tags": ["a", "b"], "address": address, "orders": orders})
    return [json.loads(text) for _ in range(count // 32)]


def tree(count: int) -> object:
    """A tree of objects that refer to their parents, four to a node."""
    root = Node(None)
    level, made = [root], 1
    while made < count // 2:
        following = [Node(node) for node in level for _ in range(4)][: count // 2 - made]
        for place, node in enumerate(following):
            level[place // 4].children.append(node)
        made += len(following)
        level = following
    return root


SHAPES: dict[str, Callable[[int], object]] = {
    "lists of ints": integers,
    "dict of dicts": dicts,
    "objects with a slot": slots,
    "objects with a dict": records,
    "linked list": linked,
    "linked both ways": linked_both_ways,
    "tuples": tuples,
    "JSON documents": documents,
    "tree with parents": tree,
}

kept = {"here": Slotted(None)}

CALLS = ("explain", "why_alive", "heap")


def look(call: str) -> None:
    """Looks at one object, or at the whole heap."""
    # Who lists the shapes need not have it.
    import wrasse

    function: Callable[..., object] = getattr(wrasse, call)
    function(*([] if call == "heap" else [kept["here"]]))


def taken(call: str) -> dict[str, float]:
    """What one call takes."""
    # Without it the peak is that of the building, which has ended just now.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, begin = own.kib("VmRSS"), time.process_time()
    look(call)
    seconds = time.process_time() - begin
    return {"seconds": seconds, "before_kib": before, "times": own.kib("VmHWM") / before}


def main() -> None:
    """Measures the heap that the command line names."""
    import wrasse

    shape, count = sys.argv[1], int(sys.argv[2])
    # What is imported and looked up once only is no matter of the heap's size.
    for call in CALLS:
        look(call)
    gc.disable()
    held = SHAPES[shape](count)
    figures = {call: taken(call) for call in CALLS}
    own.tell(objects=wrasse.heap().objects, calls=figures)
    del held


if __name__ == "__main__":
    main()

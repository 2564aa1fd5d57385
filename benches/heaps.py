"""Builds one heap, collects it, and prints what that cost, as one line of JSON.

    python heaps.py SHAPE OBJECTS GARBAGE

SHAPE is a name of SHAPES, OBJECTS about how many tracked objects it gets, GARBAGE how many of a
hundred are unreachable when the collection that is measured begins. The collection runs in
the thread that calls ``gc.collect()``, so its CPU time is that thread's.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections.abc import Callable

import own


class Node:
    """A node of a tree, or of a list."""

    def __init__(self, parent: Node | None, value: int) -> None:
        self.parent = parent
        self.children: list[Node] = []
        self.value = value


def tree(count: int) -> object:
    """Instances with a list of children each, four to a node."""
    root = Node(None, 0)
    level, made = [root], 1
    while made * 2 < count:
        following = []
        for node in level:
            for number in range(4):
                child = Node(node, number)
                node.children.append(child)
                following.append(child)
        made += len(following)
        level = following
    return root


def shuffled_tree(count: int) -> object:
    """The same nodes as in a tree, each attached to a random earlier one."""
    chance = random.Random(1)
    nodes = [Node(None, number) for number in range(count // 2)]
    chance.shuffle(nodes)
    for index in range(1, len(nodes)):
        parent = nodes[chance.randrange(index)]
        nodes[index].parent = parent
        parent.children.append(nodes[index])
    return nodes[0]


def documents(count: int) -> object:
    """JSON documents, parsed."""
    text = json.dumps(
        {
            "id": 1,
            "name": "somebody",
            "tags": ["a", "b", "c"],
            "address": {"street": "one", "city": "two", "geo": {"lat": 1.5, "lng": 2.5}},
            "orders": [{"sku": "x", "count": 3, "parts": [1, 2, 3]} for _ in range(4)],
        }
    )
    return [json.loads(text) for _ in range(count // 12)]


def dicts(count: int) -> object:
    """A dict of small dicts that refer to it."""
    outer: dict[str, object] = {}
    for number in range(count):
        outer[str(number)] = {"number": number, "outer": outer}
    return outer


def tuples(count: int) -> object:
    """Tuples that hold a tracked list and numbers."""
    shared: list[int] = []
    return [(number, str(number), shared) for number in range(count)]


def linked(count: int) -> object:
    """One list of instances with slots, each referring to the next."""
    first = None
    for _ in range(count):
        first = Link(first)
    return first


class Link:
    """A link and nothing else."""

    __slots__ = ("following",)

    def __init__(self, following: Link | None) -> None:
        self.following = following


def application(count: int) -> object:
    """What importing a good part of the standard library leaves; ``count`` says nothing here."""
    del count
    import asyncio
    import ctypes
    import email.mime.text
    import http.client
    import logging.config
    import multiprocessing.managers
    import sqlite3
    import tkinter
    import unittest.mock
    import xml.dom.minidom

    return [asyncio, ctypes, email, http, logging, multiprocessing, sqlite3, tkinter, unittest, xml]


SHAPES: dict[str, Callable[[int], object]] = {
    "tree": tree,
    "shuffled tree": shuffled_tree,
    "documents": documents,
    "dicts": dicts,
    "tuples": tuples,
    "linked list": linked,
    "application": application,
}


def collect() -> tuple[float, int]:
    """CPU seconds and findings of one full collection."""
    begin = time.thread_time()
    found = gc.collect()
    return time.thread_time() - begin, found


def main() -> None:
    """Measures the heap that the command line names."""
    shape, count, garbage = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    gc.disable()
    if garbage:
        # Many small graphs, of which some are dropped.
        parts = [tree(340) for _ in range(count // 340)]
        chance = random.Random(2)
        kept = [part for part in parts if chance.randrange(100) >= garbage]
        tracked = len(gc.get_objects())
        del parts
        seconds, found = collect()
        held: object = kept
    else:
        try:
            held = SHAPES[shape](count)
        except ImportError as error:
            raise SystemExit(f"this interpreter lacks what the shape needs: {error}") from None
        tracked = len(gc.get_objects())
        # The first one also unravels what was left by the building.
        _, found = collect()
        seconds = min(collect()[0] for _ in range(3))
    own.tell(seconds=seconds, tracked=tracked, found=found)
    del held


if __name__ == "__main__":
    main()

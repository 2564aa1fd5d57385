"""A program that builds random heaps and prints what the collector did to each.

usage: random_heap.py FIRST_SEED COUNT

One line a seed, the same on any right collector: which objects were found
unreachable (``gc.DEBUG_SAVEALL``), in which order finalizers and weak reference
callbacks ran, what was resurrected, what was left. Run by test_random_heaps.py.
"""

import collections
import contextlib
import functools
import gc
import itertools
import json
import random
import sys
import threading
import types
import weakref


class Plain:
    pass


class Slotted:
    __slots__ = ("__weakref__", "a", "b", "c")


class Final(Plain):
    """Logs its finalization; may resurrect itself, make garbage or fail."""

    def __del__(self):
        run = self.run
        run.log.append(["final", self.label])
        if self.deed == "resurrect":
            run.saved.append(self)
        elif self.deed == "litter":
            litter = []
            litter.append(litter)
        elif self.deed == "cut":
            self.__dict__.pop("a", None)
        elif self.deed == "fail":
            raise ValueError("in a finalizer")


class Run:
    """What happens outside the heap under test; never part of a cycle in it."""

    def __init__(self, earlier):
        self.log = []
        self.saved = []
        # What these do to the others depends on which finalizers have run before:
        # only where stock's order is the order of creation, like ours.
        self.deeds = ["log", "log", "litter", "fail"] + ["resurrect", "cut"] * (not earlier)


def closure():
    a = b = None

    def function():
        return a, b

    return function


def suspended(slots):
    try:
        yield slots
    finally:
        slots.append("closed")


def make(rng, run, label):
    """A new container and a function that puts a reference into it."""
    kind = rng.choice(KINDS)
    if kind in ("plain", "slotted", "final"):
        value = {"plain": Plain, "slotted": Slotted, "final": Final}[kind]()
        if kind == "final":
            value.run, value.label = run, label
            value.deed = rng.choice(run.deeds)
        return value, lambda target: setattr(value, rng.choice("abc"), target)
    if kind == "list":
        value = []
        return value, value.append
    if kind == "dict":
        value = {}
        return value, lambda target: value.__setitem__(rng.randrange(5), target)
    if kind == "set":
        value = set()
        return value, lambda target: value.add(Key(len(value), target))
    if kind == "deque":
        value = collections.deque()
        return value, value.append
    if kind == "ordered":
        value = collections.OrderedDict()
        return value, lambda target: value.__setitem__(rng.randrange(5), target)
    if kind == "closure":
        value = closure()
        return value, lambda target: setattr(rng.choice(value.__closure__), "cell_contents", target)
    if kind == "generator":
        slots = []
        value = suspended(slots)
        next(value)
        return value, slots.append
    if kind == "partial":
        slots = []
        value = functools.partial(print, slots)
        return value, slots.append
    if kind == "method":
        owner = Plain()
        value = types.MethodType(lambda self: None, owner)
        return value, lambda target: setattr(owner, rng.choice("abc"), target)
    if kind == "iterator":
        slots = [None]
        value = itertools.chain(slots)
        return value, slots.append
    if kind == "class":
        value = type("Local", (), {})
        return value, lambda target: setattr(value, rng.choice("abc"), target)
    if kind == "exception":
        value = ValueError()
        return value, lambda target: setattr(value, rng.choice("abc"), target)
    slots = []
    value = (slots, label)
    return value, slots.append


CONTAINERS = ["list", "dict", "set", "deque", "ordered", "tuple"]
HOLDERS = ["closure", "generator", "partial", "method", "iterator", "class", "exception"]
KINDS = ["plain", "plain", "slotted", "final", "final", *CONTAINERS, *HOLDERS]


class Key:
    """Makes any object a member of a set, with a hash that is no address."""

    __slots__ = ("number", "target")

    def __init__(self, number, target):
        self.number = number
        self.target = target

    def __hash__(self):
        return self.number


def build(rng, run, most=60):
    """Objects, some kept by the caller's list; returns (kept, weak references, all)."""
    size = rng.randrange(2, most)
    made = [make(rng, run, label) for label in range(size)]
    for label, (value, _) in enumerate(made):
        with contextlib.suppress(AttributeError, TypeError):
            value.label = label
    for _ in range(int(size * rng.choice([0.5, 1.0, 2.0, 4.0]))):
        made[rng.randrange(size)][1](made[rng.randrange(size)][0])
    watched = {}
    for label, (value, add) in enumerate(made):
        if rng.random() < 0.4:
            callback = None
            if rng.random() < 0.5:
                callback = functools.partial(run_callback, run.log, label)
            try:
                reference = weakref.ref(value, callback)
            except TypeError:
                continue
            if rng.random() < 0.3:
                add(reference)  # part of the heap: may be trash itself
            else:
                watched[label] = reference
    kept = [value for value, _ in made if rng.random() < rng.choice([0.0, 0.05, 0.3])]
    return kept, watched, [value for value, _ in made]


def run_callback(log, label, reference):
    log.append(["callback", label, reference() is None])


def vars_of(value):
    return getattr(value, "__dict__", None) or {}


class Holder:
    """Where a class keeps what the run holds."""


def hold_in_thread(box, held, done):
    values = box.pop()
    held.set()
    done.wait()
    box.append(values)


def hold_in_generator(box):
    values = box.pop()
    yield
    box.append(values)


def collect_holding(place, values):
    """Collects while nothing but `place` keeps the list that is in the list `values`."""
    if place == "global":
        globals()["HELD"] = values.pop()
        found = gc.collect()
        values.append(globals().pop("HELD"))
    elif place == "class":
        Holder.values = values.pop()
        found = gc.collect()
        values.append(Holder.values)
        del Holder.values
    elif place == "stack":
        kept, found = values.pop(), gc.collect()
        values.append(kept)
    elif place == "callee":
        found = callee(gc.collect, *values.pop(), box=values)
    elif place == "thread":
        held, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=hold_in_thread, args=(values, held, done))
        thread.start()
        held.wait()
        found = gc.collect()
        done.set()
        thread.join()
    elif place == "generator":
        generator = hold_in_generator(values)
        next(generator)
        found = gc.collect()
        next(generator, None)
    else:
        found = gc.collect()
    return found


def callee(function, *arguments, box):
    """Keeps what it was called with in a tuple of its own."""
    try:
        return function()
    finally:
        box.append(list(arguments))


PLACES = ["local", "global", "class", "stack", "callee", "generator", "thread"]


def trial(seed, generation, save_all):
    rng = random.Random(seed)
    place = PLACES[rng.randrange(len(PLACES))]
    earlier = rng.randrange(3)
    run = Run(earlier)
    gc.collect()
    kept, watched, everything = build(rng, run)
    del everything
    for _ in range(earlier):
        gc.collect(generation)
    del run.log[:]
    gc.set_debug(gc.DEBUG_SAVEALL if save_all else 0)
    dropped = kept[: len(kept) // 2]
    del kept[: len(kept) // 2], dropped
    kept = [kept]
    found = collect_holding(place, kept)
    kept = kept.pop()
    # Stock leaves survivors of an earlier collection in an order of its own, and
    # finalizes in that order; ours stay in the order of their creation.
    order = sorted if earlier else list
    return report(seed, found, run, kept, watched, order)


def report(seed, found, run, kept, watched, order):
    """What came of a collection, and of the next one, when nothing is kept any more."""
    gc.set_debug(0)
    garbage = sorted(
        f"{type(value).__name__} {vars_of(value).get('label')}" for value in gc.garbage
    )
    result = {
        "seed": seed,
        "found": found,
        "garbage": garbage,
        "log": order(run.log),
        "saved": order(value.label for value in run.saved),
        "alive": sorted(label for label, reference in watched.items() if reference() is not None),
        "errors": len(errors),
    }
    gc.garbage.clear()
    run.saved.clear()
    kept.clear()
    del run.log[:]
    result["rest"] = gc.collect()
    result["late"] = sorted(map(str, run.log))
    return result


errors = []
sys.unraisablehook = lambda event: errors.append(type(event.exc_value))
if __name__ == "__main__":
    gc.disable()
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for seed in range(first, first + count):
        print(json.dumps(trial(seed, seed % 3, seed % 2 == 0)), flush=True)

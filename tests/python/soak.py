"""A program that does for a long time what is hard for a collector; see test_soak.py.

usage: soak.py SECONDS SEED

Threads make objects of each kind, tie them into cycles, let go of them, watch
them through weak references, suspend generators over them, freeze and fork.
Every object with a finalizer has a number: each must be finalized once, and all
of them in the end. Memory must not grow once the program has found its size.
Runs the same on any CPython.
"""

import gc
import os
import pathlib
import random
import sys
import threading
import time
import weakref

FULL = 400
LOCK = threading.Lock()


class Ledger:
    """Which numbers were given out, and how often each was finalized."""

    def __init__(self):
        self.next = 0
        self.alive = set()
        self.finalized = 0
        self.twice = []

    def enter(self):
        with LOCK:
            number = self.next
            self.next += 1
            self.alive.add(number)
            return number

    def leave(self, number):
        # Called by finalizers, at any point, the lock held or not: no lock here.
        try:
            self.alive.remove(number)
        except KeyError:
            self.twice.append(number)
        self.finalized += 1


LEDGER = Ledger()


class Node:
    def __init__(self):
        self.number = LEDGER.enter()
        self.links = []

    def __del__(self):
        LEDGER.leave(self.number)


SAVED = []


class Phoenix(Node):
    """Comes back once."""

    def __del__(self):
        super().__del__()
        SAVED.append(self)


class Careless(Node):
    """Makes garbage as it goes."""

    def __del__(self):
        super().__del__()
        litter = {}
        litter["me"] = litter


def suspended(node):
    mine = Node()
    try:
        yield node, mine
    finally:
        node.links.append(None)


def cluster(rng):
    """Objects of several kinds that refer to each other; returns one of them."""
    nodes = [
        rng.choice([Node, Node, Node, Phoenix, Careless])() for _ in range(rng.randrange(1, 30))
    ]
    for node in nodes:
        node.links.append(rng.choice(nodes))
        node.table = {"next": rng.choice(nodes), 1: [rng.choice(nodes)]}
        if rng.random() < 0.2:
            node.generator = suspended(rng.choice(nodes))
            next(node.generator)
        if rng.random() < 0.2:
            node.call = lambda node=node: node
        if rng.random() < 0.3:
            node.reference = weakref.ref(rng.choice(nodes), seen)
    if rng.random() < 0.05:
        nodes[0].links.extend([node] for node in nodes * 20)
    return nodes[0]


CALLED = []


def seen(reference):
    CALLED.append(reference() is None)


def work(seed, until, failures):
    rng = random.Random(seed)
    held = []
    watched = []
    try:
        while time.monotonic() < until:
            held.append(cluster(rng))
            if rng.random() < 0.3:
                watched.append(weakref.ref(held[-1]))
            if len(held) > FULL:
                # Some are old by then, some are not.
                del held[rng.randrange(len(held)) :]
            if held and rng.random() < 0.1:
                one, other = rng.choice(held), rng.choice(held)
                one.links, other.links = other.links, one.links
            if len(watched) > FULL:
                live = [reference() for reference in watched]
                for node in live:
                    if node is not None:
                        assert isinstance(node.links, list)
                del live, node
                watched = watched[FULL // 2 :]
            if rng.random() < 0.01:
                SAVED.clear()
                CALLED.clear()
    except BaseException as error:
        failures.append(repr(error))
        raise


def resident():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def child_is_well():
    """A fork that collects all it has got and counts what was finalized."""
    process = os.fork()
    if process == 0:
        # Other threads are gone in the child, and what they held is not let go.
        before = LEDGER.finalized
        gc.collect()
        new = LEDGER.finalized - before
        os._exit(1 if LEDGER.twice or new < 0 else 0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def main(seconds, seed):
    rng = random.Random(seed)
    failures = []
    begun = time.monotonic()
    until = begun + seconds
    threads = [
        threading.Thread(target=work, args=(rng.random(), until, failures)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    sizes = []
    while time.monotonic() < until:
        time.sleep(min(0.2, seconds / 50))
        sizes.append(resident())
        deed = rng.randrange(10)
        if deed == 0:
            gc.collect(rng.randrange(3))
        elif deed == 1:
            gc.freeze()
            gc.unfreeze()
        elif deed == 2:
            assert child_is_well()
        elif deed == 3:
            assert len(gc.get_objects()) > 0
    for thread in threads:
        thread.join()
    assert not failures, failures
    SAVED.clear()
    for _ in range(3):
        gc.collect()
        SAVED.clear()
    assert not LEDGER.twice, f"finalized twice: {LEDGER.twice[:10]}"
    assert not LEDGER.alive, f"never finalized: {len(LEDGER.alive)} of {LEDGER.next}"
    assert LEDGER.finalized == LEDGER.next
    assert all(CALLED)
    # The second half of the time against the rest of the first, once it has grown up.
    half = len(sizes) // 2
    early, late = max(sizes[half // 4 : half]), max(sizes[half:])
    print(f"{LEDGER.next} finalized, {early >> 20} MiB at most, then {late >> 20} MiB")
    # How far apart collections are depends on how threads take turns: what leaks
    # shows in the long run.
    assert late < early * 1.5 + (64 << 20), (early, late)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))

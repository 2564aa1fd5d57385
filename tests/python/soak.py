"""A program that does for a long time what is hard for a collector; see test_soak.py.

usage: soak.py SECONDS SEED [FAULT]

Threads make objects of each kind, tie them into cycles, let go of them, watch
them through weak references, suspend generators over them, while the main thread
collects, freezes and forks. Every object with a finalizer has a number: each must
be finalized once. Runs the same on any CPython.

Work comes in rounds of a fixed number of clusters, with as many full collections at
fixed places in each, so that rounds are alike. (Clusters exchange links, which
strings more and more of them together, and what is frozen and unfrozen waits for a
full collection: where those come at random and nothing is ever let go, memory goes
on growing, on stock too.) After each round the threads rest, and everything is let
go: all must have been finalized by then, and what is still in use must be what was
in use after the rounds before, to within what `growth` allows.

FAULT puts in what the program is there to notice: `leak`, `lost` or `twice`.
"""

import ctypes
import gc
import os
import pathlib
import random
import sys
import threading
import time
import weakref
from statistics import median

FULL = 400
# Clusters that a thread makes in a round, and threads.
CLUSTERS = 1500
THREADS = 3
# What may be in use more after some time: bytes, for tables that double, and bytes a
# second. A leak of a MiB a minute is twice that.
SLACK = 2 << 20
RATE = (1 << 20) / 120
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


def work(rng, turn):
    """One thread's part of a round."""
    held = []
    watched = []
    for _ in range(CLUSTERS):
        turn.done += 1
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


class Worker(threading.Thread):
    """Does its part of each round, and rests in between."""

    def __init__(self, seed, begin, end):
        super().__init__(daemon=True)
        self.rng, self.begin, self.end = random.Random(seed), begin, end
        self.done = 0
        self.over = False

    def run(self):
        while True:
            self.begin.wait()
            if self.over:
                return
            work(self.rng, self)
            self.end.wait()


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


class Usage(ctypes.Structure):
    """What `mallinfo2` answers."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *(
            (name, ctypes.c_size_t)
            for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "top")
        ),
    )


MALLINFO = ctypes.CDLL(None).mallinfo2
MALLINFO.restype = Usage


def in_use():
    """Bytes that `malloc` has given out and not got back, and as many for each block of
    Python's small-object allocator as they have on average."""
    usage = MALLINFO()
    return usage.uordblks + usage.hblkhd + 64 * sys.getallocatedblocks()


def growth(samples):
    """How many bytes more are in use in the last third of the time than in the second
    sixth, and how many may be: of pairs of seconds and bytes."""
    count = len(samples)
    early, late = samples[count // 6 : count // 3 + 1], samples[count - count // 3 - 1 :]
    seconds, used = (
        median(each[i] for each in late) - median(each[i] for each in early) for i in (0, 1)
    )
    return used, SLACK + RATE * seconds


def deeds(rng):
    """What the main thread does in a round, in a random order, the full collections at
    fixed places."""
    others = [lambda: gc.collect(0), lambda: gc.collect(1), freeze, look, fork]
    rng.shuffle(others)
    for deed in others:
        yield deed
        yield gc.collect


def freeze():
    gc.freeze()
    gc.unfreeze()


def look():
    assert len(gc.get_objects()) > 0


def fork():
    assert child_is_well()


LEAKED = []


def harm(fault):
    """Does once a round what the program has to notice."""
    if fault == "leak":
        LEAKED.append(bytes(1 << 20))
    elif fault == "lost" and not LEAKED:
        LEAKED.append(Node())
    elif fault == "twice":
        Node().__del__()


def rest():
    """Lets everything go; all must have been finalized."""
    # What comes back may alone hold another that comes back when it goes, and so on.
    for _ in range(20):
        SAVED.clear()
        CALLED.clear()
        gc.collect()
        if not (LEDGER.alive or SAVED):
            break
    assert not LEDGER.twice, f"finalized twice: {LEDGER.twice[:10]}"
    assert not LEDGER.alive, f"never finalized: {len(LEDGER.alive)} of {LEDGER.next}"
    assert LEDGER.finalized == LEDGER.next
    assert all(CALLED)
    # Or the table keeps the size that it happened to have.
    LEDGER.alive = set()


def peak():
    """The most memory that the process has had since this was called last."""
    try:
        status = pathlib.Path("/proc/self/status").read_text().splitlines()
        most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        return most << 10
    except OSError:
        return 0


def main(seconds, seed, fault=None):
    rng = random.Random(seed)
    begin, end = threading.Barrier(THREADS + 1), threading.Barrier(THREADS + 1)
    workers = [Worker(rng.random(), begin, end) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    begun = time.monotonic()
    used, peaks = [], []
    while time.monotonic() < begun + seconds or len(used) < 12:
        for worker in workers:
            worker.done = 0
        begin.wait()
        todo = list(deeds(rng))
        for place, deed in enumerate(todo, 1):
            share = place / (len(todo) + 1)
            while sum(worker.done for worker in workers) < share * THREADS * CLUSTERS:
                assert all(worker.is_alive() for worker in workers)
                time.sleep(0.001)
            deed()
        end.wait()
        harm(fault)
        rest()
        used.append((time.monotonic() - begun, in_use()))
        peaks.append(peak())
        if os.environ.get("SOAK_LOG"):
            print(*used[-1], peaks[-1], file=sys.stderr, flush=True)
    for worker in workers:
        worker.over = True
    begin.wait()
    for worker in workers:
        worker.join()
    more, allowed = growth(used)
    print(
        f"{LEDGER.next} finalized in {len(used)} rounds, {more / 1024:.0f} KiB more in use,"
        f" peaks of {min(peaks) >> 20} to {max(peaks) >> 20} MiB"
    )
    assert more < allowed, f"memory grows: {more} bytes, {allowed:.0f} allowed"


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])

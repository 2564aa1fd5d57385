"""Containers with a bound, filled once, emptied, or read by others."""
import functools
from collections import deque

TABLE = {n: f"entry {n:012d}" for n in range(20_000)}
for n in range(20_000, 25_000):
    TABLE[n] = f"entry {n:012d}"

BOUNDED = {}
QUEUE = []
RESULTS = []
LAST = deque(maxlen=10)


def remember(n):
    if n in BOUNDED:
        return BOUNDED[n]
    if len(BOUNDED) >= 15_000:
        BOUNDED.pop(next(iter(BOUNDED)))
    BOUNDED[n] = f"bounded {n:012d}" * 3
    return BOUNDED[n]


def put(n):
    QUEUE.append(f"queued {n:012d}" * 3)


def take():
    while len(QUEUE) > 15_000:
        QUEUE.pop()


def compute(n):
    RESULTS.append(f"result {n:012d}" * 3)
    LAST.append(n)


def report():
    return max(RESULTS)


@functools.lru_cache(maxsize=15_000)
def known(n):
    return f"known {n:012d}" * 3


@functools.cache
def often(n):
    return f"often {n:012d}" * 3


for n in range(16_000):
    remember(n)
    put(n)
    compute(n)
    known(n)
    often(n)
    often(n)
    often(n)
take()
# From here on nothing grows.
for n in range(200_000):
    str(n) * 20
print(report(), TABLE[7])

"""An attribute of a class that nobody reads, and a cache whose answers are never asked for again."""
import functools
import sys


class Worker:
    history = []

    def __init__(self, name):
        self.name = name

    def work(self, n):
        line = f"{self.name} has worked on {n:012d}"
        self.history.append(line)  # expect: W302 bytes~=25_000 * (EACH + 8.5)
        return len(line)


# For each answer: the str, the int that is the key, and their places in a dict.
@functools.cache  # expect: W302 bytes~=20_000 * (28 + TEXT) + DICT
def spell(number):
    return f"number {number:020d}"


worker = Worker("ann")
for n in range(25_000):
    worker.work(n)
for n in range(20_000):
    spell(n + 1000)

EACH = sys.getsizeof("ann has worked on 000000000000")
TEXT = sys.getsizeof("number 00000000000000000000")
DICT = sys.getsizeof(dict.fromkeys(range(20_000)))

"""A set in an object, emptied by another method."""
import sys


class Pool:
    def __init__(self):
        self.members = set()

    def fill(self, count):
        for n in range(count):
            self.members.add(n)  # expect: W503 bytes~=FULL

    def drain(self, left):
        while len(self.members) > left:
            self.members.pop()


pool = Pool()
pool.fill(120_000)
pool.drain(100)
print(len(pool.members))
# where: FULL = sys.getsizeof((lambda s: [s.add(n) for n in range(120_000)] and s)(set()))

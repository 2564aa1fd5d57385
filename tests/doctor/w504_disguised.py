"""Columns of a table, in a dict in an object; one of them is worth it."""
import random


class Table:
    def __init__(self, count):
        generator = random.Random(1)
        self.columns = {"id": [], "kind": []}
        for n in range(count):
            # Above 2**30: 32 bytes each.
            self.columns["id"].append(generator.getrandbits(50) | 1 << 49)  # expect: W504 bytes~=200_000 * (32 + 8.5 - 8)
            # The same few small numbers: only the places would be saved, by fewer bytes than are worth a word.
            self.columns["kind"].append(n % 5)


table = Table(200_000)
# From here on nothing grows.
for n in range(400_000):
    str(n) * 20
print(len(table.columns["id"]), table.columns["kind"][3])

"""The list is filled under a condition, in nested loops, by a method, and used by something that is no loop."""
import math


class Grid:
    def __init__(self, side):
        self.side = side

    def cells(self):
        for x in range(self.side):
            for y in range(self.side):
                yield x, y


def distance(grid):
    found = list()
    for x, y in grid.cells():
        if x != y:
            # Floats: 24 bytes.
            found.append(math.hypot(x, y))  # expect: W204 bytes~=400 * 399 * (24 + 8.5)
    return math.fsum(found)


def report(grid, out):
    records = []
    for x, y in grid.cells():
        record = (x, y + 1000)
        # A tuple of two takes 56 bytes, the int that only it has 28.
        records.append(record)  # expect: W204 bytes~=400 * 400 * (56 + 28 + 8.5)
    lines = 0
    for x, y in records:
        if x > y:
            out.append(x)
        lines += 1
    return lines


print(distance(Grid(400)), report(Grid(400), []))

"""Instances with slots, few instances, instances of other things, and attributes by computed names."""
import collections
import enum


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Few:
    def __init__(self, n):
        self.n = n


class Words(dict):
    pass


Row = collections.namedtuple("Row", "a b")


class Record:
    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)


points = [Point(n, n) for n in range(30_000)]
rows = [Row(n, n) for n in range(30_000)]
few = [Few(n) for n in range(500)]
words = [Words() for n in range(500)]
records = [Record(**{f"field{n % 7}": n}) for n in range(8_000)]
print(points[0].x, rows[0], few[0].n, Color.RED, words[0], len(records))

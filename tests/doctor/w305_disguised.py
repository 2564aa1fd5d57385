"""Callbacks that stay: one for each batch, which only tells how large the batch was; and a decorator's counter."""
import sys

callbacks = []


class Board:
    def __init__(self):
        self.lines = []

    def watch(self, describe):
        self.lines.append(describe)

    def show(self):
        return [describe() for describe in self.lines[-3:]]


def batch(board, number):
    records = tuple(f"record {number:04d} {n:08d}" for n in range(1000))

    def describe():  # expect: W305 bytes~=100 * (1000 * (EACH + 8) + 40)
        if not records:
            return "empty"
        return f"batch {number}: {len(records)} records"

    board.watch(describe)
    return sum(map(len, records))


board = Board()
print(sum([batch(board, number) for number in range(100)]))
# From here on nothing grows.
for n in range(200_000):
    str(n) * 20
print(board.show())
EACH = sys.getsizeof("record 0000 00000000")

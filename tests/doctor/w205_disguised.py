"""A method, whose list goes through a variable of its caller and a function that takes one item at a time."""
import sys


class Log:
    def __init__(self, count):
        self.count = count

    def entries(self):
        return [f"entry number {n:08d}" for n in range(self.count)]  # expect: W205 bytes~=60_000 * (ENTRY + 8.5)


def width(texts):
    widest = 0
    for text in texts:
        widest = max(widest, len(text))
    return widest


def run(log):
    entries = log.entries()
    return width(entries)


ENTRY = sys.getsizeof("entry number 00000000")
print(run(Log(60_000)))

"""Memory filled with one mix of sizes, thinned out, filled with another, and emptied.

Says on standard error how much of it stays resident after each step: what an allocator gives
back of memory that it handed out in an order that nobody frees it in.
"""

import os
import random
import sys


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


def main(scale):
    numbers = random.Random(7)
    figures = [resident()]
    count = int(1_000_000 * scale)
    kept = [bytes(numbers.randrange(1, 200)) for _ in range(count)]
    figures.append(resident())
    numbers.shuffle(kept)
    del kept[count // 10 :]
    figures.append(resident())
    later = [bytes(numbers.randrange(200, 500)) for _ in range(count // 3)]
    figures.append(resident())
    numbers.shuffle(later)
    del later
    figures.append(resident())
    del kept
    figures.append(resident())
    names = ("start", "filled", "thinned", "filled again", "that freed", "all freed")
    words = (f"{name} {figure}" for name, figure in zip(names, figures))
    print("resident MiB: " + ", ".join(words), file=sys.stderr)

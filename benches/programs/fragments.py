"""Memory filled with one mix of sizes, thinned out, filled with another, and emptied.

One block in two thousand lives on, as what a program caches does. Says on standard error how much
stays resident after each step.
"""

import os
import random
import sys
from pathlib import Path


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE") >> 20


def main(scale):
    numbers = random.Random(7)
    figures = [resident()]
    count = int(1_000_000 * scale)
    kept = [bytes(numbers.randrange(1, 200)) for _ in range(count)]
    cached = kept[::2000]
    figures.append(resident())
    numbers.shuffle(kept)
    del kept[count // 10 :]
    figures.append(resident())
    later = [bytes(numbers.randrange(200, 500)) for _ in range(count // 3)]
    cached += later[::2000]
    figures.append(resident())
    numbers.shuffle(later)
    del later
    figures.append(resident())
    del kept
    figures.append(resident())
    names = ("start", "filled", "thinned", "filled again", "that freed", "all but the cached freed")
    assert len(cached) > 0
    words = (f"{name} {figure}" for name, figure in zip(names, figures, strict=True))
    print("resident MiB: " + ", ".join(words), file=sys.stderr)

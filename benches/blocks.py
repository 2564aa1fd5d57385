"""Makes many live blocks and prints what they cost, as one line of JSON.

    python blocks.py TOOL COUNT

TOOL is `none`, `tracemalloc` (its own snapshots), `aggregated` (tracemalloc is on, wrasse sums up)
or `profile` (wrasse's own, which WRASSE=trace turns on). Printed are how much the resident memory
grew with the blocks, and the seconds that a snapshot with its statistics by line takes.
"""

from __future__ import annotations

import sys
import time
import tracemalloc

import own


def fill(places: list[object]) -> None:
    """A block in each place, from a few lines."""
    for place in range(0, len(places) - 3, 4):
        places[place] = bytes(32)
        places[place + 1] = bytes(48)
        places[place + 2] = bytes(64)
        places[place + 3] = bytes(80)


def lines(tool: str) -> int:
    """Takes a snapshot, sums up by line, and returns how many lines there are."""
    if tool in ("aggregated", "profile"):
        import wrasse

        source = "tracemalloc" if tool == "aggregated" else "profile"
        return len(wrasse.snapshot(source).statistics("lineno"))
    return len(tracemalloc.take_snapshot().statistics("lineno"))


def main() -> None:
    """Fills, looks and tells."""
    tool, count = sys.argv[1], int(sys.argv[2])
    places: list[object] = [None] * count
    if tool in ("tracemalloc", "aggregated"):
        tracemalloc.start(1)
    before = own.kib("VmRSS")
    fill(places)
    grown = own.kib("VmRSS") - before
    seconds = 0.0
    if tool != "none":
        begin = time.process_time()
        found = lines(tool)
        seconds = time.process_time() - begin
        if found < 4:
            raise SystemExit(f"{tool} has seen {found} lines of four")
    own.tell(grown_kib=grown, seconds=seconds)


main()

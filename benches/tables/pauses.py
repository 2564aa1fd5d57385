"""Building a large heap, dropping cycles over it, and losing most of it: time in collections and
the longest of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from sides import MIB, Run, measured, ratios, spread, turns

SWITCHES = ("gc", "gc,alloc", "gc,alloc,pause=10ms")
MODES = (
    ("build", "Building a heap of {:,} tracked objects. Goal: ratio 0.33, share 10 %, peak 1.05"),
    ("churn", "Cycles dropped over {:,} live objects. Goal: ratio 0.62"),
    ("lose", "Nine tenths of {:,} objects let go while others come. Goal: 15 ms with the target"),
)


def table(run: Run) -> None:
    """Stock, the collector alone and with the allocator, and with a pause target."""
    objects = int(3_000_000 * min(1.0, run.scale / 0.3))
    for mode, title in MODES:
        columns = ("", "CPU ratio (range)", "share in collections", "longest pause, CPU ms")
        run.head(title.format(objects), (*columns, "peak memory, ratio"))

        def side(switch: str | None, mode: str = mode) -> Callable[[], dict[str, Any]]:
            return lambda: measured(run.python, "pauses.py", [mode, objects], "gc", switch)

        taken = turns(min(run.rounds, 3), [side(None), *map(side, SWITCHES)])
        titles = ("stock", *(f"`{switch}`" for switch in SWITCHES))
        for name, costs in zip(titles, taken, strict=True):
            cpu = ratios([each["cpu"] for each in costs], [each["cpu"] for each in taken[0]])
            peak = ratios(
                [each["peak_kib"] for each in costs], [each["peak_kib"] for each in taken[0]]
            )
            share = statistics.median(each["collecting"] / each["cpu"] for each in costs)
            run.row(
                name,
                spread(cpu) if costs is not taken[0] else f"1 ({costs[0]['cpu']:.2f} s)",
                f"{share:.0%}",
                spread([each["longest"] * 1e3 for each in costs], 0),
                f"{statistics.median(peak):.2f}"
                if costs is not taken[0]
                else f"1 ({costs[0]['peak_kib'] / MIB:.0f} MiB)",
            )

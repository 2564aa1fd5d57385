"""What one full collection of heaps of different shapes costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from sides import Run, measured, ratios, spread, turns

HEAPS = (
    ("tree", 0),
    ("shuffled tree", 0),
    ("documents", 0),
    ("dicts", 0),
    ("tuples", 0),
    ("linked list", 0),
    ("application", 0),
    ("tree", 10),
    ("tree", 90),
)
# With the allocator, blocks that are no containers are told by their address.
SWITCHES = ("gc", "gc,alloc")


def table(run: Run) -> None:
    """Stock against the collector, alone and with the allocator."""
    objects = int(2_000_000 * run.scale)
    columns = ("heap", "garbage", "stock, ns/object", "`gc,alloc`, ns/object")
    run.head(
        f"Full collections, about {objects:,} objects: how many times faster."
        " Goal: mean 6, least 2.5; 4 with 10 % garbage, 2.5 with 90 %",
        (*columns, *(f"stock / `{switch}` (range)" for switch in SWITCHES)),
    )
    medians: list[list[float]] = [[] for _ in SWITCHES]
    for shape, garbage in HEAPS:

        def side(
            switch: str | None, shape: str = shape, garbage: int = garbage
        ) -> Callable[[], float]:
            def cost() -> float:
                result = measured(run.python, "heaps.py", [shape, objects, garbage], "gc", switch)
                return float(result["seconds"] / result["tracked"] * 1e9)

            return cost

        stock, *ours = turns(run.rounds, [side(None), *map(side, SWITCHES)])
        faster = [ratios(stock, each) for each in ours]
        if not garbage:
            for each, median in zip(faster, medians, strict=True):
                median.append(statistics.median(each))
        run.row(
            shape,
            f"{garbage} %",
            f"{statistics.median(stock):.0f}",
            f"{statistics.median(ours[-1]):.0f}",
            *map(spread, faster),
        )
    means = (f"{statistics.geometric_mean(each):.2f}" for each in medians)
    run.row("geometric mean without garbage", "", "", "", *means)

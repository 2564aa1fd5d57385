"""What single blocks cost: to get and give back, to trace, to keep in a snapshot, to let go."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sides import HERE, Cost, Run, body, measured, ratios, spread, turns


@dataclass(frozen=True)
class Tracing:
    """One way to trace live blocks: the side that traces, and the one that does not."""

    title: str
    tool: str
    part: str
    switch: str | None
    untraced: str | None


TRACINGS = (
    Tracing("tracemalloc, stock", "tracemalloc", "tracemalloc", None, None),
    Tracing("tracemalloc, `WRASSE=1`", "tracemalloc", "tracemalloc", "1", "1"),
    Tracing("the same, `wrasse.snapshot()`", "aggregated", "tracemalloc", "1", "1"),
    Tracing("wrasse's profile", "profile", "profile", "gc,alloc,trace=1", "gc,alloc"),
)


def live(run: Run) -> None:
    """What each live traced block takes, and how long a snapshot of all of them does."""
    count = int(1_500_000 * run.scale)
    columns = ("", "bytes for each block (range)", "snapshot and statistics by line, CPU ms")
    run.head(f"{count:,} live traced blocks, 1 frame. Goal: 5 bytes; 20 ms for 1,500,000", columns)
    for tracing in TRACINGS:
        sizes, times = [], []
        for _ in range(run.rounds):
            traced = measured(
                run.python, "blocks.py", [tracing.tool, count], tracing.part, tracing.switch
            )
            part = "alloc" if tracing.untraced else tracing.part
            untraced = measured(run.python, "blocks.py", ["none", count], part, tracing.untraced)
            sizes.append((traced["grown_kib"] - untraced["grown_kib"]) * 1024 / count)
            times.append(traced["seconds"] * 1e3)
        run.row(tracing.title, spread(sizes, 1), spread(times, 1))


# Title, what wrasse serves, and by what it is told that it does.
SETTINGS: tuple[tuple[str, str | None, str], ...] = (
    ("stock", None, "alloc"),
    ("`gc,alloc`", "gc,alloc", "alloc"),
    ("… 1 frame", "gc,alloc,trace=1", "profile"),
    ("… 25 frames", "gc,alloc,trace=25", "profile"),
)


def pairs(run: Run) -> None:
    """A block and its release, without the interpreter."""
    titles = (title for title, _, _ in SETTINGS)
    run.head(
        "A block and its release, CPU ns. Goal for 48 bytes: 4 untraced, 8 traced", ("", *titles)
    )

    def side(switch: str | None, part: str) -> Callable[[], dict[str, Any]]:
        return lambda: measured(run.python, "pairs.py", ["--json"], part, switch)

    taken = turns(run.rounds, [side(switch, part) for _, switch, part in SETTINGS])
    for number, (title, _) in enumerate(taken[0][0]["pairs"]):
        cells = (spread([each["pairs"][number][1] for each in side], 1) for side in taken)
        run.row(title, *cells)


def numbers(run: Run) -> None:
    """A loop that allocates nothing new."""
    program = HERE / "programs" / "floats.py"
    run.head(
        "A numeric loop on floats from the free list, against untraced stock. Goal: 1.10",
        ("", "CPU ratio (range)"),
    )

    def side(switch: str | None, watch: str = "0") -> Callable[[], Cost]:
        part = "profile" if switch and "trace" in switch else "alloc"
        part = "tracemalloc" if int(watch) else part
        return lambda: body(run.python, program, run.scale, watch, part, switch)

    watched = (
        *((title, side(switch)) for title, switch, _ in SETTINGS[1:]),
        ("tracemalloc, stock, 1 frame", side(None, "1")),
        ("tracemalloc, `WRASSE=1`, 1 frame", side("1", "1")),
    )
    stock, *others = turns(run.rounds, [side(None), *(each for _, each in watched)])
    for (title, _), costs in zip(watched, others, strict=True):
        run.row(title, spread(ratios([each.cpu for each in costs], [each.cpu for each in stock])))


def fragments(run: Run) -> None:
    """What stays resident of memory that was fragmented."""
    program = HERE / "programs" / "fragments.py"
    steps: dict[str, list[int]] = {}
    for switch in (None, "gc,alloc"):
        said = measured(run.python, "body.py", [program, 1.0, "0"], "alloc", switch)["said"]
        for step, figure in re.findall(r"([a-z ]+) (\d+)(?:,|$)", said.partition(":")[2].strip()):
            steps.setdefault(step.strip(), []).append(int(figure))
    run.head(
        "Resident memory of a program that fragments it, MiB. Goal: 60 when all is freed",
        ("", *steps),
    )
    for number, title in enumerate(("stock", "`gc,alloc`")):
        run.row(title, *(str(figures[number]) for figures in steps.values()))


def table(run: Run) -> None:
    """All four."""
    live(run)
    pairs(run)
    numbers(run)
    fragments(run)

"""Every program on stock and on each of wrasse's parts."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sides import MIB, Cost, Run, body, ratios, spread, turns


@dataclass(frozen=True)
class Case:
    """One way to run every program: what wrasse serves, and whether tracemalloc is on."""

    title: str
    goal: str
    switch: str
    part: str
    frames: int
    # Tracing makes programs several times slower, so they get less to do.
    scale: float


CASES = (
    Case("Collector (`WRASSE=gc`)", "c_cycles 0.77", "gc", "gc", 0, 1.0),
    Case("Allocator, with the collector (`WRASSE=gc,alloc`)", "0.93", "gc,alloc", "alloc", 0, 1.0),
    Case(
        "Tracer (`WRASSE=tracemalloc`, 1 frame), both tracing",
        "none",
        "tracemalloc",
        "tracemalloc",
        1,
        0.4,
    ),
    # An exact profile against stock that traces nothing.
    Case(
        "Exact profile, 1 frame, against *untraced* stock",
        "1.00, no program above 1.15",
        "gc,alloc,trace=1",
        "profile",
        0,
        0.4,
    ),
    Case(
        "Exact profile, 25 frames, against *untraced* stock",
        "1.10, no program above 1.40",
        "gc,alloc,trace=25",
        "profile",
        0,
        0.4,
    ),
)


def table(run: Run) -> None:
    """All cases."""
    for case in CASES:
        one(run, case)


def one(run: Run, case: Case) -> None:
    """A table: every program, stock against wrasse."""
    columns = ("program", "stock, CPU s", "wrasse, CPU s", "ratio (range)")
    run.head(
        f"{case.title}. Goal: {case.goal}", (*columns, "stock, MiB", "wrasse, MiB", "peak ratio")
    )
    medians = []
    for program in run.programs:
        scale = run.scale * case.scale

        def side(
            switch: str | None, program: Path = program, scale: float = scale
        ) -> Callable[[], Cost]:
            return lambda: body(run.python, program, scale, str(case.frames), case.part, switch)

        stock, wrasse = turns(run.rounds, (side(None), side(case.switch)))
        cpu = ratios([each.cpu for each in wrasse], [each.cpu for each in stock])
        peaks = ratios([each.peak_kib for each in wrasse], [each.peak_kib for each in stock])
        medians.append(statistics.median(cpu))
        run.row(
            program.stem,
            *(f"{statistics.median(each.cpu for each in side):.3f}" for side in (stock, wrasse)),
            spread(cpu),
            *(
                f"{statistics.median(each.peak_kib for each in side) / MIB:.1f}"
                for side in (stock, wrasse)
            ),
            f"{statistics.median(peaks):.2f}",
        )
    run.row("geometric mean", "", "", f"{statistics.geometric_mean(medians):.2f}", "", "", "")

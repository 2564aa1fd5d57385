"""Who looks at a program's allocations, and what that costs: wrasse beside other tools."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sides import Cost, Run, body, install, ratios, sandbox, spread, turns


@dataclass(frozen=True)
class Tool:
    """Something that looks at a program's allocations."""

    title: str
    # As in body.py, and what wrasse serves meanwhile.
    watch: str
    switch: str | None = None
    # What has to be installed for it.
    package: str | None = None


TOOLS = (
    Tool("wrasse, 1 frame", "0", switch="gc,alloc,trace=1"),
    Tool("tracemalloc, 1 frame", "1"),
    Tool("memray", "memray", package="memray"),
    Tool("heapwise, exact", "heapwise-exact", package="heapwise"),
    Tool("heapwise, sampled", "heapwise-sampled", package="heapwise"),
)
# Some of them make programs several times slower.
SCALE = 0.4


def environment(python: Path, wheels: Path) -> tuple[Path, dict[str, str]]:
    """An environment with the other tools, and why those are missing that are."""
    target = sandbox(python, wheels, "tools")
    missing = {}
    for package in sorted({tool.package for tool in TOOLS if tool.package}):
        there = subprocess.run([str(target), "-c", f"import {package}"], capture_output=True)
        if there.returncode == 0:
            continue
        done = install(python, target, ["--only-binary", ":all:", package])
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["pip does not say why"])[-1]
            missing[package] = last.removeprefix("ERROR: ")
    return target, missing


def table(run: Run) -> None:
    """CPU time and peak memory as ratios to stock that nobody watches."""
    if run.wheels is None:
        return
    other, missing = environment(run.python, run.wheels)
    tools = [tool for tool in TOOLS if tool.package not in missing]
    titles = (tool.title for tool in tools)
    run.head("Who watches, against untraced stock: CPU (range), peak memory", ("program", *titles))
    medians: list[list[float]] = [[] for _ in tools]
    for program in run.programs:

        def side(tool: Tool | None, program: Path = program) -> Callable[[], Cost]:
            python = other if tool and tool.package else run.python
            watch, switch = (tool.watch, tool.switch) if tool else ("0", None)
            return lambda: body(python, program, run.scale * SCALE, watch, "profile", switch)

        stock, *watched = turns(run.rounds, [side(None), *map(side, tools)])
        cells = []
        for costs, median in zip(watched, medians, strict=True):
            cpu = ratios([each.cpu for each in costs], [each.cpu for each in stock])
            peak = ratios([each.peak_kib for each in costs], [each.peak_kib for each in stock])
            median.append(statistics.median(cpu))
            cells.append(f"{spread(cpu)}, {statistics.median(peak):.2f}")
        run.row(program.stem, *cells)
    run.row("geometric mean", *(f"{statistics.geometric_mean(each):.2f}" for each in medians))
    for package, reason in missing.items():
        run.say(f"\n{package} is not here: {reason}")

"""What `wrasse doctor` costs: the program, the looks at it, and the process that reads the findings."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from sides import HERE, Run, environment, ratios, spread, turns

# The program alone, recorded as the doctor records it, and examined.
KINDS: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("stock", (), None),
    ("the profile alone, 8 frames", (), "gc,alloc,trace=8"),
    ("`wrasse doctor`", ("-m", "wrasse", "doctor", "--exit-zero"), None),
)
# Runs of a few seconds: what is paid once should not hide what grows with the program.
SCALE = 3.0


def whole(
    python: Path, arguments: tuple[str, ...], program: Path, scale: float, switch: str | None
) -> float:
    """CPU seconds of a run from start to end, its child processes with it."""
    command = [str(python), *arguments, str(HERE / "whole.py"), str(program), str(scale)]
    process = subprocess.Popen(
        command,
        env=environment(switch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(
            f"{' '.join(command[1:])} ended with {process.returncode}:\n{said.decode()}"
        )
    return usage.ru_utime + usage.ru_stime


def table(run: Run) -> None:
    """Every program from start to end."""
    run.head(
        "The doctor, against stock: CPU of whole runs. Goal: 1.5",
        ("program", "stock, s", *(title for title, _, _ in KINDS[1:])),
    )
    medians: list[list[float]] = [[] for _ in KINDS[1:]]
    for program in run.programs:

        def side(
            arguments: tuple[str, ...], switch: str | None, program: Path = program
        ) -> Callable[[], float]:
            return lambda: whole(run.python, arguments, program, run.scale * SCALE, switch)

        kinds = [side(arguments, switch) for _, arguments, switch in KINDS]
        stock, *watched = turns(min(run.rounds, 3), kinds)
        found = [ratios(each, stock) for each in watched]
        for each, median in zip(found, medians, strict=True):
            median.append(statistics.median(each))
        run.row(program.stem, f"{statistics.median(stock):.1f}", *map(spread, found))
    means = (f"{statistics.geometric_mean(each):.2f}" for each in medians)
    run.row("geometric mean", "", *means)

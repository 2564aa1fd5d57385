"""What small programs cost to start and to end."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sides import Run, environment, install, ratios, sandbox, turns

SCRIPTS: tuple[tuple[str, ...], ...] = (("-c", "pass"), ("-m", "json.tool"))


def startup(python: Path, script: tuple[str, ...], switch: str | None) -> tuple[float, float]:
    """Wall and CPU seconds of a Python that does next to nothing."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [str(python), *script],
        env=environment(switch),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    if process.stdin is not None:
        process.stdin.write(b'{"a": [1, 2, 3]}')
        process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{python} {' '.join(script)} ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def environments(python: Path, wheels: Path) -> tuple[Path, Path]:
    """Two environments that differ only by wrasse: neither has anything else in it."""
    bare, installed = (sandbox(python, wheels, name) for name in ("bare", "wrasse"))
    wheel = max(wheels.glob("*.whl"))
    install(python, installed, ["--no-deps", "--force-reinstall", str(wheel)]).check_returncode()
    return bare, installed


def table(run: Run) -> None:
    """Without wrasse, with it off, and with it on."""
    if run.wheels is None:
        return
    bare, installed = environments(run.python, run.wheels)
    kinds: tuple[tuple[str, Path, str | None], ...] = (
        ("wrasse not installed", bare, None),
        ("installed, `WRASSE` unset", installed, None),
        ("`WRASSE=gc,tracemalloc`", installed, "gc,tracemalloc"),
        ("`WRASSE=1`", installed, "1"),
    )
    run.head(
        "Start-up. Goal: 1.02",
        ("`python`", "", "wall ms (median)", "CPU ms (median)", "CPU against not installed"),
    )
    for script in SCRIPTS:

        def side(
            python: Path, switch: str | None, script: tuple[str, ...] = script
        ) -> Callable[[], tuple[float, float]]:
            return lambda: startup(python, script, switch)

        # The first round fills the caches.
        taken = turns(run.rounds * 10 + 1, [side(python, switch) for _, python, switch in kinds])
        times = [each[1:] for each in taken]
        for (title, _, _), costs in zip(kinds, times, strict=True):
            cpu = ratios([each[1] for each in costs], [each[1] for each in times[0]])
            run.row(
                f"`{' '.join(script)}`",
                title,
                f"{statistics.median(wall for wall, _ in costs) * 1e3:.1f}",
                f"{statistics.median(cpu for _, cpu in costs) * 1e3:.1f}",
                f"{statistics.median(cpu):.2f}",
            )

"""The two sides of a comparison: processes on stock and on wrasse that take turns.

Every figure is a ratio within a pair, because on a machine that others use too an absolute time
says little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
MIB = 1024
Result = TypeVar("Result")


@dataclass
class Run:
    """What is to be measured, and on what."""

    python: Path
    wheels: Path | None
    programs: list[Path]
    rounds: int
    scale: float
    said: list[str]

    @classmethod
    def of(cls, options: argparse.Namespace, programs: list[Path]) -> Run:
        """As the command line wants it."""
        python = options.python.absolute()
        return cls(python, options.wheels, programs, options.rounds, options.scale, [])

    def say(self, line: str = "") -> None:
        """Prints a line, and keeps it for the documentation."""
        print(line, flush=True)
        self.said.append(line)

    def head(self, title: str, columns: Sequence[str]) -> None:
        """Begins a table. All columns but the first hold figures."""
        self.say(f"\n### {title}\n")
        self.row(*columns)
        self.say(f"|---|{'---:|' * (len(columns) - 1)}")

    def row(self, *cells: str) -> None:
        """A row of a table."""
        self.say(f"| {' | '.join(cells)} |")


@dataclass
class Cost:
    """What one process cost."""

    cpu: float
    peak_kib: float


def environment(switch: str | None) -> dict[str, str]:
    """The caller's environment without what would steer Python, and with wrasse as asked."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WRASSE"))}
    if switch is not None:
        kept["WRASSE"] = switch
    return kept


def measured(
    python: Path, script: str, arguments: Sequence[object], part: str, switch: str | None
) -> dict[str, Any]:
    """Runs one of the scripts beside this one, and makes sure that it ran on what it should
    have run on. Returns what it says, with its standard error as `said`."""
    command = [str(python), str(HERE / script), *map(str, arguments)]
    run = subprocess.run(
        command,
        env=environment(switch),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:])} failed with WRASSE={switch}:\n{run.stderr}")
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    served = str(result["status"].get(part, "stock"))
    if served.startswith(("wrasse", "on")) != (switch is not None):
        raise SystemExit(
            f"{' '.join(command[1:])}: WRASSE={switch}, but {part} was served by {served}"
        )
    return {**result, "said": run.stderr}


def body(
    python: Path, program: Path, scale: float, watch: str, part: str, switch: str | None
) -> Cost:
    """Runs one program once."""
    result = measured(python, "body.py", [program, scale, watch], part, switch)
    return Cost(result["cpu"], result["peak_kib"])


def sandbox(python: Path, wheels: Path, name: str) -> Path:
    """The interpreter of a virtual environment of that name, with nothing in it at first."""
    home = wheels.parent.parent / f"bench-{wheels.name}" / name
    target = home / "bin" / "python"
    if not target.exists():
        subprocess.run([str(python), "-m", "venv", "--without-pip", str(home)], check=True)
    return target


def install(
    python: Path, target: Path, arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Has `python`'s pip install into the environment of `target`."""
    command = [str(python), "-m", "pip", "--python", str(target), "install", "--quiet"]
    command += ["--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def turns(rounds: int, sides: Sequence[Callable[[], Result]]) -> list[list[Result]]:
    """Runs all sides in each round, each of them first in its turn. The results side by side."""
    taken: list[list[Result]] = [[] for _ in sides]
    for number in range(rounds):
        for turn in range(len(sides)):
            index = (turn + number) % len(sides)
            taken[index].append(sides[index]())
    return taken


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Those within each round."""
    return [one / other for one, other in zip(above, below, strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median and the range."""
    median = statistics.median(values)
    return f"{median:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"

"""Stock against wrasse: CPU time and peak memory of programs, what single mechanisms cost, other
tools beside it, and what start-up costs.

    python bench.py --python .build/venv-3.13.0/bin/python [--rounds N] [--scale X] [PROGRAM ...]

See README.md.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from sides import HERE, Run
from tables import blocks, doctor, heaps, looks, parts, pauses, startup, tools

# Those of the programs, and those that have programs of their own.
OF_PROGRAMS = {"parts": parts, "tools": tools, "doctor": doctor}
OTHERS = {"blocks": blocks, "heaps": heaps, "looks": looks, "pauses": pauses, "startup": startup}
TABLES = (*OF_PROGRAMS, *OTHERS)
# What is written for others to read has a range.
LEAST_ROUNDS = 3


def write(page: Path, version: str, lines: list[str]) -> None:
    """Puts a run's tables in the place of the last ones of the same minor version."""
    minor = ".".join(version.split(".")[:2])
    begin, end = f"<!-- make bench: {minor} -->", f"<!-- end of {minor} -->"
    text = page.read_text(encoding="utf-8") if page.exists() else "# Figures\n"
    made = "\n".join((begin, f"## CPython {version}", "", *lines, "", end))
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if pattern.search(text):
        text = pattern.sub(lambda _: made, text)
    else:
        text = f"{text.rstrip()}\n\n{made}\n"
    page.write_text(text, encoding="utf-8")


def main() -> int:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="interpreter with wrasse in it")
    parser.add_argument(
        "--wheels",
        type=Path,
        help="directory with the wheel: measures start-up and other tools too",
    )
    parser.add_argument("--directory", type=Path, default=HERE / "programs", help="the programs")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of processes (default 5)")
    parser.add_argument("--scale", type=float, default=0.5, help="how much work (default 0.5)")
    parser.add_argument(
        "--tables",
        type=lambda text: text.split(","),
        default=list(TABLES),
        help=f"which tables, with commas between them: {','.join(TABLES)} (default: all)",
    )
    parser.add_argument(
        "--write", type=Path, help="the page to write all tables into, beside printing them"
    )
    parser.add_argument("programs", nargs="*", help="names of programs; default: all")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"no table {', '.join(sorted(unknown))}: there are {', '.join(TABLES)}")
    programs = [
        path
        for path in sorted(options.directory.glob("*.py"))
        if "def main(scale" in path.read_text(encoding="utf-8")
        and (not options.programs or path.stem in options.programs)
    ]
    if not programs:
        parser.error(f"no program of that name in {options.directory}")
    run = Run.of(options, programs)
    version = subprocess.check_output([str(run.python), "-V"], text=True).split()[1]
    run.say(
        f"CPython {version}, {run.rounds} pairs, scale {run.scale}, {os.cpu_count()} processors, load"
        f" {os.getloadavg()[0]:.1f} at the start. A ratio below 1 means wrasse costs less."
    )
    for name, table in (OF_PROGRAMS | OTHERS).items():
        if name in options.tables and (name in OF_PROGRAMS or not options.programs):
            table.table(run)
    is_whole = not options.programs and set(options.tables) == set(TABLES)
    if options.write and is_whole and run.rounds >= LEAST_ROUNDS:
        write(options.write, version, run.said)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Stock against wrasse: CPU time and peak memory of programs, beside other tools too, and what
start-up costs.

    python bench.py --python .build/venv-3.13.0/bin/python [--rounds N] [--scale X] [PROGRAM ...]

Both sides are separate processes that take turns, and every figure is the median of the ratios of
such pairs: on a machine that others use too, an absolute time says little. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MIB = 1024


@dataclass(frozen=True)
class Case:
    """One way to run every program: what wrasse serves, and whether tracemalloc is on."""

    title: str
    switch: str
    part: str
    frames: int
    # Tracing makes programs several times slower, so they get less to do.
    scale: float


CASES = (
    Case("Collector (`WRASSE=gc`)", "gc", "gc", 0, 1.0),
    Case("Allocator, with the collector (`WRASSE=gc,alloc`)", "gc,alloc", "alloc", 0, 1.0),
    Case("Tracer (`WRASSE=tracemalloc`, 1 frame)", "tracemalloc", "tracemalloc", 1, 0.4),
    # An exact profile against stock that traces nothing.
    Case("Profile, 1 frame, against untraced stock", "gc,alloc,trace=1", "profile", 0, 0.4),
    Case("Profile, 25 frames, against untraced stock", "gc,alloc,trace=25", "profile", 0, 0.4),
)


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
    python: Path, script: str, arguments: list[object], part: str, switch: str | None
) -> dict[str, Any]:
    """Runs one of the scripts beside this one, and makes sure that it ran on what it should
    have run on. Returns what it says."""
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
    return result


def body(
    python: Path, program: Path, scale: float, watch: str, part: str, switch: str | None
) -> Cost:
    """Runs one program once."""
    result = measured(python, "body.py", [program, scale, watch], part, switch)
    return Cost(result["cpu"], result["peak_kib"])


def pairs(
    rounds: int, stock: Callable[[], Cost], wrasse: Callable[[], Cost]
) -> list[tuple[Cost, Cost]]:
    """Runs both sides in turn, each going first every other time."""
    taken = []
    for number in range(rounds):
        if number % 2:
            second = wrasse()
            taken.append((stock(), second))
        else:
            first = stock()
            taken.append((first, wrasse()))
    return taken


def spread(values: list[float]) -> str:
    """The median and the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def programs_table(options: argparse.Namespace, programs: list[Path], case: Case) -> None:
    """Prints one table: every program, stock against wrasse."""
    print(f"\n### {case.title}\n")
    print(
        "| program | stock CPU s | wrasse CPU s | ratio (range) | stock MiB | wrasse MiB | ratio |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    ratios = []
    for program in programs:
        scale = options.scale * case.scale

        def side(
            switch: str | None, program: Path = program, scale: float = scale
        ) -> Callable[[], Cost]:
            return lambda: body(options.python, program, scale, str(case.frames), case.part, switch)

        taken = pairs(options.rounds, side(None), side(case.switch))
        cpu = [wrasse.cpu / stock.cpu for stock, wrasse in taken]
        ratios.append(statistics.median(cpu))
        cells = [
            f"{statistics.median(stock.cpu for stock, _ in taken):.3f}",
            f"{statistics.median(wrasse.cpu for _, wrasse in taken):.3f}",
            spread(cpu),
            f"{statistics.median(stock.peak_kib for stock, _ in taken) / MIB:.1f}",
            f"{statistics.median(wrasse.peak_kib for _, wrasse in taken) / MIB:.1f}",
            f"{statistics.median(wrasse.peak_kib / stock.peak_kib for stock, wrasse in taken):.2f}",
        ]
        print(f"| {program.stem} | {' | '.join(cells)} |", flush=True)
    print(f"| geometric mean | | | {statistics.geometric_mean(ratios):.2f} | | | |")


@dataclass(frozen=True)
class Tool:
    """Something that looks at a program's allocations."""

    title: str
    # As in body.py, and what wrasse serves meanwhile.
    watch: str
    switch: str | None = None
    # What has to be installed for it.
    package: str | None = None


PROFILE_SCALE = 0.4
TOOLS = (
    Tool("wrasse, 1 frame", "0", switch="gc,alloc,trace=1"),
    Tool("tracemalloc, 1 frame", "1"),
    Tool("memray", "memray", package="memray"),
    Tool("heapwise, exact", "heapwise-exact", package="heapwise"),
    Tool("heapwise, sampled", "heapwise-sampled", package="heapwise"),
)


def tools_environment(python: Path, wheels: Path) -> tuple[Path, dict[str, str]]:
    """An environment with the other tools, and why those are missing that are."""
    home = wheels.parent.parent / f"bench-{wheels.name}" / "tools"
    target = home / "bin" / "python"
    if not target.exists():
        subprocess.run([str(python), "-m", "venv", "--without-pip", str(home)], check=True)
    missing = {}
    for package in sorted({tool.package for tool in TOOLS if tool.package}):
        there = subprocess.run([str(target), "-c", f"import {package}"], capture_output=True)
        if there.returncode == 0:
            continue
        install = [str(python), "-m", "pip", "--python", str(target), "install", "--quiet"]
        install += ["--disable-pip-version-check", "--only-binary", ":all:", package]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["pip does not say why"])[-1]
            missing[package] = last.removeprefix("ERROR: ")
    return target, missing


def tools_table(options: argparse.Namespace, programs: list[Path]) -> None:
    """Prints what watching costs, tool beside tool: CPU time and peak memory as ratios to
    stock that nobody watches."""
    other, missing = tools_environment(options.python, options.wheels)
    tools = [tool for tool in TOOLS if tool.package not in missing]
    print("\n### Who watches, against untraced stock: CPU (range), peak memory\n")
    print(f"| program | {' | '.join(tool.title for tool in tools)} |")
    print(f"|---|{'---:|' * len(tools)}")
    scale = options.scale * PROFILE_SCALE
    ratios: list[list[float]] = [[] for _ in tools]
    for program in programs:
        taken: list[list[Cost]] = [[] for _ in tools]
        for number in range(options.rounds):
            stock = body(options.python, program, scale, "0", "profile", None)
            # Nobody is always the first or the last of a round.
            for turn in range(len(tools)):
                index = (turn + number) % len(tools)
                tool = tools[index]
                python = other if tool.package else options.python
                cost = body(python, program, scale, tool.watch, "profile", tool.switch)
                ratio = Cost(cost.cpu / stock.cpu, cost.peak_kib / stock.peak_kib)
                taken[index].append(ratio)
        cells = []
        for index, costs in enumerate(taken):
            ratios[index].append(statistics.median(cost.cpu for cost in costs))
            memory = statistics.median(cost.peak_kib for cost in costs)
            cells.append(f"{spread([cost.cpu for cost in costs])}, {memory:.2f}")
        print(f"| {program.stem} | {' | '.join(cells)} |", flush=True)
    means = [f"{statistics.geometric_mean(each):.2f}" for each in ratios]
    print(f"| geometric mean | {' | '.join(means)} |")
    for package, reason in missing.items():
        print(f"\n{package} is not here: {reason}")


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


def blocks_table(options: argparse.Namespace) -> None:
    """Prints what each live traced block takes, and how long a snapshot of all of them does."""
    count = int(1_500_000 * options.scale)
    print(f"\n### {count:,} live traced blocks, 1 frame\n")
    print("| | bytes for each block (range) | snapshot and statistics by line, CPU ms (range) |")
    print("|---|---:|---:|")
    for tracing in TRACINGS:
        sizes, times = [], []
        for _ in range(options.rounds):
            traced = measured(
                options.python, "blocks.py", [tracing.tool, count], tracing.part, tracing.switch
            )
            part = "alloc" if tracing.untraced else tracing.part
            untraced = measured(
                options.python, "blocks.py", ["none", count], part, tracing.untraced
            )
            sizes.append((traced["grown_kib"] - untraced["grown_kib"]) * 1024 / count)
            times.append(traced["seconds"] * 1e3)
        size = f"{statistics.median(sizes):.1f} ({min(sizes):.1f}-{max(sizes):.1f})"
        pause = f"{statistics.median(times):.1f} ({min(times):.1f}-{max(times):.1f})"
        print(f"| {tracing.title} | {size} | {pause} |", flush=True)


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


def startup_environments(python: Path, wheels: Path) -> tuple[Path, Path]:
    """Two environments that differ only by wrasse: neither has anything else in it."""
    made = []
    for name in ("bare", "wrasse"):
        home = wheels.parent.parent / f"bench-{wheels.name}" / name
        target = home / "bin" / "python"
        if not target.exists():
            subprocess.run([str(python), "-m", "venv", "--without-pip", str(home)], check=True)
        made.append(target)
    wheel = max(wheels.glob("*.whl"))
    install = [str(python), "-m", "pip", "--python", str(made[1]), "install", "--quiet"]
    install += ["--disable-pip-version-check", "--no-deps", "--force-reinstall", str(wheel)]
    subprocess.run(install, check=True)
    return made[0], made[1]


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


def heap(python: Path, shape: str, objects: int, garbage: int, switch: str | None) -> float:
    """One full collection: nanoseconds for each tracked object."""
    result = measured(python, "heaps.py", [shape, objects, garbage], "gc", switch)
    return float(result["seconds"] / result["tracked"] * 1e9)


def heaps_table(options: argparse.Namespace, switch: str) -> None:
    """Prints what one full collection of heaps of different shapes costs."""
    objects = int(2_000_000 * options.scale)
    print(f"\n### Full collections (`WRASSE={switch}`), about {objects:,} objects\n")
    print("| heap | garbage | stock ns/object | wrasse ns/object | stock / wrasse (range) |")
    print("|---|---:|---:|---:|---:|")
    ratios = []
    for shape, garbage in HEAPS:
        taken = []
        for _ in range(options.rounds):
            stock = heap(options.python, shape, objects, garbage, None)
            wrasse = heap(options.python, shape, objects, garbage, switch)
            taken.append((stock, wrasse))
        ratio = [stock / wrasse for stock, wrasse in taken]
        if not garbage:
            ratios.append(statistics.median(ratio))
        cells = [
            shape,
            f"{garbage} %",
            f"{statistics.median(stock for stock, _ in taken):.0f}",
            f"{statistics.median(wrasse for _, wrasse in taken):.0f}",
            spread(ratio),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
    print(f"| geometric mean without garbage | | | | {statistics.geometric_mean(ratios):.2f} |")


def startup_table(options: argparse.Namespace) -> None:
    """Prints what small programs cost without wrasse, with it off, and with it on."""
    bare, installed = startup_environments(options.python, options.wheels)
    kinds: tuple[tuple[str, Path, str | None], ...] = (
        ("wrasse not installed", bare, None),
        ("installed, `WRASSE` unset", installed, None),
        ("`WRASSE=gc,tracemalloc`", installed, "gc,tracemalloc"),
        ("`WRASSE=1`", installed, "1"),
    )
    print("\n### Start-up\n")
    print("| `python` | | wall ms (median) | CPU ms (median) | CPU against not installed |")
    print("|---|---|---:|---:|---:|")
    for script in SCRIPTS:
        taken: list[list[tuple[float, float]]] = [[] for _ in kinds]
        for number in range(options.rounds * 10 + 1):
            for turn in range(len(kinds)):
                kind = (turn + number) % len(kinds)
                _, python, switch = kinds[kind]
                cost = startup(python, script, switch)
                # The first round fills the caches.
                if number:
                    taken[kind].append(cost)
        for (title, _, _), costs in zip(kinds, taken, strict=True):
            wall = statistics.median(wall for wall, _ in costs) * 1e3
            cpu = statistics.median(cpu for _, cpu in costs) * 1e3
            ratio = statistics.median(
                here[1] / base[1] for here, base in zip(costs, taken[0], strict=True)
            )
            cells = f"`{' '.join(script)}` | {title} | {wall:.1f} | {cpu:.1f} | {ratio:.2f}"
            print(f"| {cells} |", flush=True)


TABLES = ("parts", "tools", "blocks", "heaps", "startup")


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
    parser.add_argument("programs", nargs="*", help="names of programs; default: all")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"no table {', '.join(sorted(unknown))}: there are {', '.join(TABLES)}")
    options.python = options.python.absolute()
    programs = [
        path
        for path in sorted(options.directory.glob("*.py"))
        if "def main(scale" in path.read_text(encoding="utf-8")
        and (not options.programs or path.stem in options.programs)
    ]
    if not programs:
        parser.error(f"no program of that name in {options.directory}")
    version = subprocess.check_output([str(options.python), "-V"], text=True).strip()
    print(
        f"{version}, {options.rounds} pairs, scale {options.scale}, {os.cpu_count()} processors,",
        end="",
    )
    print(f" load {os.getloadavg()[0]:.1f}. A ratio below 1 means wrasse costs less.")
    wanted = options.tables
    if "parts" in wanted:
        for case in CASES:
            programs_table(options, programs, case)
    if "tools" in wanted and options.wheels:
        tools_table(options, programs)
    if "blocks" in wanted and not options.programs:
        blocks_table(options)
    if "heaps" in wanted and not options.programs:
        # With the allocator, blocks that are no containers are told by their address.
        for switch in ("gc", "gc,alloc"):
            heaps_table(options, switch)
    if "startup" in wanted and options.wheels:
        startup_table(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())

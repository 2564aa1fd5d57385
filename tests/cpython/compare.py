"""Runs CPython's own tests on stock and on wrasse and compares test by test.

    python compare.py --key 3.12.1 --python .build/venv-3.12.1/bin/python [--full] [FILE ...]

Both sides use the same virtual environment with wrasse installed: stock has WRASSE unset, the
other has ``WRASSE=gc,alloc,tracemalloc`` (or what ``--settings`` says, ``gc,alloc,trace=25`` for
example), so that child processes run on wrasse too. The same tests must run and end in the same way. A file with a difference is run again, alone and on both sides; a test
counts as the same only if a whole run of its file agreed. Exit code 1 when a difference remains.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from execution import (
    SWITCH,
    WITNESS,
    FileResult,
    Side,
    default_signals,
    environment,
    is_profiled,
    parts,
    run_file,
)
from suite import FULL, QUICK, SuiteMissing, available

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
RETRIES = 2
# Two rows of the comparison that are not tests.
OUTCOME = "(how the process ended)"
ALTERED = "(environment altered)"


@dataclass
class Comparison:
    """Both sides of one test file."""

    stock: FileResult
    wrasse: FileResult
    # Test id -> (stock, wrasse) of the first run, for what differed in every run.
    differences: dict[str, tuple[str, str]] = field(default_factory=dict)
    # The same for what agreed when the file was run again.
    flaky: dict[str, tuple[str, str]] = field(default_factory=dict)
    # Test id -> reason, for differences listed in known.toml.
    known: dict[str, str] = field(default_factory=dict)
    # Why the run on the wrasse side does not prove anything; empty when it does.
    unproven: str = ""

    @property
    def failed(self) -> int:
        """What this file adds to the number of failures."""
        return len(self.differences) + bool(self.unproven)

    @property
    def same(self) -> int:
        """How many tests ran (or were skipped) alike on both sides."""
        ids = self.stock.tests.keys() | self.wrasse.tests.keys()
        return len(ids - self.differences.keys() - self.known.keys())


def outcomes(result: FileResult) -> dict[str, str]:
    """Everything about a run that must be the same."""
    return {
        **result.tests,
        OUTCOME: result.outcome,
        ALTERED: "yes" if result.altered else "no",
    }


def differing(stock: FileResult, wrasse: FileResult) -> dict[str, tuple[str, str]]:
    """Test id -> what each side made of it, where they disagree."""
    left, right = outcomes(stock), outcomes(wrasse)
    pairs = {
        test: (left.get(test, "not run"), right.get(test, "not run"))
        for test in sorted(left.keys() | right.keys())
    }
    return {test: pair for test, pair in pairs.items() if pair[0] != pair[1]}


def proof_missing(stock: FileResult, result: FileResult) -> str:
    """Why a comparison shows nothing about wrasse; empty when it does."""
    if stock.witness and stock.witness["after"]["loaded"]:
        return "the stock side ran on wrasse too"
    if result.witness is None:
        return "the process did not live to say whether wrasse was on"
    after, before = result.witness["after"], result.witness["before"]
    if not after["loaded"]:
        return "wrasse was not loaded"
    off = [
        f"{part}: {after['status'].get(part)}"
        for part in parts()
        if not str(after["status"].get(part)).startswith("wrasse")
    ]
    if is_profiled() and after["status"].get("profile") != "on":
        off.append(f"profile: {after['status'].get('profile')}")
    if off:
        return "; ".join(off)
    if "gc" in parts() and after["proof"] and collections(result) == 0:
        return f"wrasse's collector never ran ({before['proof']} -> {after['proof']})"
    return ""


def collections(result: FileResult, counter: str = "collections") -> int:
    """How many collections of a kind the test process counted during the run."""
    if not result.witness or not result.witness["after"].get("proof"):
        return 0
    before = (result.witness["before"].get("proof") or {}).get(counter, [0, 0, 0])
    ran: int = sum(result.witness["after"]["proof"][counter]) - sum(before)
    return ran


class Runner:
    """Runs files on both sides of one interpreter, remembering what stock did."""

    def __init__(self, python: Path, key: str, fresh: bool) -> None:
        self.python = python
        self.fresh = fresh
        about = subprocess.run(
            [str(python), "-I", "-c", "import sys; print(sys.version, sys.base_prefix)"],
            capture_output=True,
            text=True,
            check=True,
        )
        reading = (HERE / "execution.py").read_text(encoding="utf-8")
        digest = hashlib.sha256((about.stdout + WITNESS + reading).encode()).hexdigest()[:12]
        self.version = about.stdout.split()[0].rpartition(".")[0]
        self.cache = ROOT / ".build" / "cpython" / f"{key}-{digest}"

    def run(self, name: str, side: Side) -> FileResult:
        """One run; a clean result of stock is taken from an earlier comparison."""
        kept = self.cache / f"{name}.json"
        if side == "stock" and not self.fresh and (result := FileResult.load(kept)):
            return result
        result = run_file(self.python, name, side)
        if side == "stock" and result.outcome == "ok":
            result.save(kept)
        return result

    def both(self, names: list[str], jobs: int) -> list[Comparison]:
        """All files on both sides, `jobs` at a time, and what differs between them."""
        with ThreadPoolExecutor(jobs) as pool:
            futures = [
                (pool.submit(self.run, name, "stock"), pool.submit(self.run, name, "wrasse"))
                for name in names
            ]
            compared = []
            for stock, wrasse in futures:
                comparison = Comparison(stock.result(), wrasse.result())
                comparison.differences = differing(comparison.stock, comparison.wrasse)
                comparison.unproven = proof_missing(comparison.stock, comparison.wrasse)
                print_row(comparison)
                compared.append(comparison)
        return compared

    def retry(self, comparison: Comparison) -> None:
        """Runs a differing file again, alone, and moves what then agrees to `flaky`."""
        name = comparison.stock.name
        for attempt in range(1, RETRIES + 1):
            if not comparison.differences:
                return
            print(
                f"{name}: {len(comparison.differences)} differ, again alone ({attempt})", flush=True
            )
            stock = run_file(self.python, name, "stock")
            wrasse = run_file(self.python, name, "wrasse")
            again = differing(stock, wrasse)
            for test in [test for test in comparison.differences if test not in again]:
                comparison.flaky[test] = comparison.differences.pop(test)
            if comparison.unproven:
                comparison.unproven = proof_missing(stock, wrasse)
            if comparison.differences and wrasse.tail:
                comparison.wrasse.tail = wrasse.tail

    def prove(self) -> bool:
        """Shows, in a process of its own, that the environment turns wrasse on."""
        with tempfile.TemporaryDirectory(prefix="wrasse-") as temporary:
            probe = subprocess.run(
                [str(self.python), "-c", (HERE / "probe.py").read_text(encoding="utf-8"), *parts()],
                env=environment("wrasse", Path(temporary)),
                stdin=subprocess.DEVNULL,
                timeout=120,
                check=False,
            )
        return probe.returncode == 0


def known_differences(version: str) -> dict[str, str]:
    """Test id -> reason from known.toml; each must be documented as a limit."""
    with (HERE / "known.toml").open("rb") as file:
        listed = tomllib.load(file).get("difference", [])
    limits = ROOT / "docs" / "limits.md"
    text = limits.read_text(encoding="utf-8") if limits.exists() else ""
    missing = [entry["test"] for entry in listed if entry["test"].rpartition(".")[2] not in text]
    if missing:
        raise SystemExit(f"in known.toml but not in docs/limits.md: {', '.join(missing)}")
    return {e["test"]: e["reason"] for e in listed if e["version"] in ("*", version)}


HEADINGS = ("file", "stock s", "wrasse s", "tests", "passed", "skipped", "failed", "collections")
ROW = "{:<26}{:>8}{:>9}{:>7}{:>8}{:>8}{:>7}{:>12}  {}"


def print_row(comparison: Comparison) -> None:
    """One line of the table: the numbers are the wrasse side's."""
    wrasse = comparison.wrasse
    bad = wrasse.count("failed", "error", "unexpected success", "not finished")
    passed = wrasse.count("passed", "expected failure")
    notes = [f"{len(comparison.differences)} differ" if comparison.differences else "same"]
    if comparison.unproven:
        notes.append(f"NOT PROVEN: {comparison.unproven}")
    if stock_ran := collections(wrasse, "stock_collections"):
        notes.append(f"stock's collector ran {stock_ran} times")
    print(
        ROW.format(
            wrasse.name,
            comparison.stock.seconds,
            wrasse.seconds,
            len(wrasse.tests),
            passed,
            wrasse.count("skipped"),
            bad,
            collections(wrasse),
            "; ".join(notes),
        ),
        flush=True,
    )


def print_details(compared: list[Comparison]) -> None:
    """Every difference by test id, with the log of a file that came to grief."""
    for comparison in compared:
        for test, (stock, wrasse) in comparison.flaky.items():
            print(f"flaky    {test}: stock {stock}, wrasse {wrasse}; the same when run again alone")
        for test, reason in comparison.known.items():
            print(f"known    {test}: {reason}")
        alike: dict[tuple[str, str], list[str]] = {}
        for test, pair in comparison.differences.items():
            alike.setdefault(pair, []).append(test)
        for (stock, wrasse), tests in alike.items():
            print(f"DIFFERS  {comparison.stock.name}: stock {stock}, wrasse {wrasse}:")
            for test in tests:
                print(f"           {test}")
        if comparison.unproven:
            print(f"DIFFERS  {comparison.stock.name}: not proven: {comparison.unproven}")
        if comparison.failed and comparison.wrasse.tail:
            print(f"---- end of {comparison.wrasse.name} on wrasse\n{comparison.wrasse.tail}\n----")


def set_known_aside(compared: list[Comparison], known: dict[str, str]) -> None:
    """Moves listed differences out of the failures and names entries that are no longer true."""
    for comparison in compared:
        only_known = all(test in known for test in comparison.differences if test != OUTCOME)
        for test in [test for test in comparison.differences if test in known]:
            comparison.known[test] = known[test]
            del comparison.differences[test]
        # A file that fails only by known tests also ends as "failed": that is the same difference.
        if comparison.known and only_known and comparison.wrasse.outcome == "failed":
            comparison.differences.pop(OUTCOME, None)
        stale = known.keys() & (comparison.wrasse.tests.keys() - comparison.known.keys())
        for test in sorted(stale - comparison.flaky.keys()):
            print(f"known.toml lists {test}, which is the same now: take it out")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--python", type=Path, required=True, help="interpreter with wrasse installed"
    )
    parser.add_argument("--key", required=True, help="name of that interpreter, for the caches")
    parser.add_argument("--full", action="store_true", help="all files instead of the quick subset")
    parser.add_argument(
        "--fresh", action="store_true", help="run stock again instead of recalling it"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default 2)")
    parser.add_argument("--settings", help="WRASSE on the wrasse side, instead of everything on")
    parser.add_argument("--tally", type=Path, help="file for 'passed failed'")
    parser.add_argument("files", nargs="*", help="test files instead of the subset")
    return parser.parse_args()


def main() -> int:
    """Compares, prints, and says by the exit code whether all is the same."""
    options = arguments()
    if options.settings:
        SWITCH["wrasse"] = options.settings
    default_signals()
    # Not resolved: the path must stay inside the virtual environment.
    python = options.python.absolute()
    wanted = tuple(options.files) or (FULL if options.full else QUICK)
    try:
        names = available(python, wanted)
    except SuiteMissing as missing:
        print(
            f"{options.key} comes without CPython's test package ({missing}):"
            " on Debian, apt install libpython3.11-testsuite"
        )
        return 1
    runner = Runner(python, options.key, options.fresh)
    known = known_differences(runner.version)
    print(
        f"CPython {options.key}: its own tests on stock and on WRASSE={SWITCH['wrasse']},"
        f" {len(names)} files"
    )
    if absent := [name for name in wanted if name not in names]:
        print(f"not shipped with this interpreter: {', '.join(absent)}")
    proven = runner.prove()
    print(ROW.format(*HEADINGS, ""), flush=True)
    compared = runner.both(names, options.jobs)
    for comparison in compared:
        runner.retry(comparison)
    set_known_aside(compared, known)
    print_details(compared)
    same = sum(comparison.same for comparison in compared)
    failed = sum(comparison.failed for comparison in compared) + (not proven)
    skipped = sum(comparison.wrasse.count("skipped") for comparison in compared)
    flaky = sum(len(comparison.flaky) for comparison in compared)
    print(
        f"CPython {options.key}: {same} tests the same as stock ({skipped} of them skipped in both,"
        f" {flaky} only when run again), {failed} differences"
    )
    if options.tally:
        options.tally.parent.mkdir(parents=True, exist_ok=True)
        options.tally.write_text(f"{same - skipped} {failed}\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

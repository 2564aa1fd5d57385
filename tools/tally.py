"""Counts what the test stages passed and failed.

    tally.py cargo LOG OUT      counts the lines "test result: ..." of cargo test
    tally.py pytest XML OUT     counts pytest's JUnit report
    tally.py total DIRECTORY    prints every OUT in the directory and the sum of all

OUT holds "passed failed". A stage writes "0 1" into it before it starts, so that a stage that
never got to its end counts as a failure.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed", re.MULTILINE)


def cargo(log: Path) -> tuple[int, int]:
    """Passed and failed tests of a cargo test log."""
    results = RESULT.findall(log.read_text(encoding="utf-8"))
    return sum(int(passed) for passed, _ in results), sum(int(failed) for _, failed in results)


def pytest(report: Path) -> tuple[int, int]:
    """Passed and failed tests of a pytest run."""
    passed = failed = 0
    for suite in ElementTree.parse(report).iter("testsuite"):
        count = {
            name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
        }
        broken = count["failures"] + count["errors"]
        failed += broken
        passed += count["tests"] - broken - count["skipped"]
    return passed, failed


def total(directory: Path) -> int:
    """Prints the stages and their sum; exit code 1 when anything failed."""
    sums = [0, 0]
    for tally in sorted(directory.glob("*.tally")):
        passed, failed = (int(number) for number in tally.read_text(encoding="utf-8").split())
        print(f"{tally.stem + ':':<28}{passed:>7} passed{failed:>6} failed")
        sums[0] += passed
        sums[1] += failed
    print(f"{sums[0]} passed, {sums[1]} failed")
    return 1 if sums[1] or not sums[0] else 0


def main() -> int:
    """Runs the chosen count."""
    kind, source = sys.argv[1], Path(sys.argv[2])
    if kind == "total":
        return total(source)
    passed, failed = {"cargo": cargo, "pytest": pytest}[kind](source)
    Path(sys.argv[3]).write_text(f"{passed} {failed}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

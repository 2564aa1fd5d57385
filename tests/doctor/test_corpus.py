"""Runs each program of the corpus under `wrasse doctor` and compares with what is planted in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NOTEBOOKS = ".cells"
PROGRAMS = sorted(
    path
    for path in HERE.iterdir()
    if path.suffix in {".py", NOTEBOOKS} and path.name != "test_corpus.py"
)
EXPECT = re.compile(r"#\s*expect:\s*(W\d+)(?:\s+(bytes|ms)~=(.+))?$")
TOLERANCE = 0.10


@dataclass(frozen=True)
class Defect:
    place: str
    code: str
    kind: str | None
    amount: float


@dataclass
class Score:
    found: int = 0
    missed: int = 0
    wrong: int = 0


SCORES: dict[str, Score] = {}


def place(cell: int, line: int) -> str:
    """A line, of a cell where there are cells."""
    return f"cell {cell}, line {line}" if cell else f"line {line}"


def place_of(finding: dict[str, object]) -> str:
    """Where a finding is."""
    cell = re.search(r"\.ipynb:cell (\d+)$", str(finding["file"]))
    return place(int(cell[1]) if cell else 0, int(str(finding["line"])))


def notebook(path: Path, directory: Path) -> Path:
    """The notebook whose cells are in `path`, each behind a line `# %%`."""
    sources = re.split(r"^# %%\n", path.read_text(), flags=re.MULTILINE)[1:]
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": each,
        }
        for each in sources
    ]
    made = directory / f"{path.stem}.ipynb"
    made.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
    )
    return made


def planted(path: Path) -> list[Defect]:
    """The defects that a program's comments name. Names in amounts are the program's own constants."""
    found = []
    text = path.read_text()
    cell, above = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if path.suffix == NOTEBOOKS and line.startswith("# %%"):
            cell, above = cell + 1, number
        match = EXPECT.search(line)
        if match:
            code, kind, amount = match.groups()
            found.append(
                Defect(
                    place(cell, number - above),
                    code,
                    kind,
                    evaluate(amount, text) if amount else 0.0,
                )
            )
    return found


def traced(setup: str, item: str) -> float:
    """The bytes of one of many objects, as the interpreter's own tracemalloc sees them."""
    program = f"""\
import sys, tracemalloc
{setup}
def make(i):
    return {item}
make(0), make(1)
made = [None] * 2000
numbers = range(1000, 3000)
tracemalloc.start()
for i in range(2000):
    made[i] = make(i)
sys.stdout.write(str(tracemalloc.get_traced_memory()[0] / 2000))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WRASSE")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def evaluate(amount: str, text: str) -> float:
    """What an amount comes to; `# where: NAME = …` gives a name a meaning for the test only."""
    names: dict[str, object] = {"sys": sys, "traced": traced}
    for name, value in re.findall(r"^(?:# where: )?([A-Z]+) = (.+)$", text, re.MULTILINE):
        if re.search(rf"\b{name}\b", amount):
            names[name] = eval(value, names)
    return float(eval(amount, names))


def examine(path: Path, tmp_path: Path) -> list[dict[str, object]]:
    result = tmp_path / "findings.json"
    if path.suffix == NOTEBOOKS:
        pytest.importorskip("IPython")
        path = notebook(path, tmp_path)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WRASSE")}
    command = [
        sys.executable,
        "-m",
        "wrasse",
        "doctor",
        "--exit-zero",
        "--json",
        str(result),
        str(path),
    ]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    findings: list[dict[str, object]] = json.loads(result.read_text())["findings"]
    return findings


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path: Path, tmp_path: Path) -> None:
    expected = planted(path)
    findings = examine(path, tmp_path)
    problems = []
    left = list(findings)
    for defect in expected:
        score = SCORES.setdefault(defect.code, Score())
        here = [
            each for each in left if (place_of(each), each["code"]) == (defect.place, defect.code)
        ]
        if not here:
            score.missed += 1
            problems.append(f"{defect.place}: {defect.code} was not found")
            continue
        left.remove(here[0])
        score.found += 1
        if defect.kind:
            measured = here[0]["bytes" if defect.kind == "bytes" else "milliseconds"]
            assert isinstance(measured, (int, float))
            if abs(measured - defect.amount) > TOLERANCE * defect.amount:
                problems.append(
                    f"{defect.place}: {defect.code} says {measured:,}, the truth is {defect.amount:,.0f}"
                )
    for each in left:
        SCORES.setdefault(str(each["code"]), Score()).wrong += 1
        problems.append(f"{place_of(each)}: {each['code']} is no defect: {each['message']}")
    assert not problems, "\n".join(problems)


def test_precision_and_recall(capfd: pytest.CaptureFixture[str]) -> None:
    """Comes last: what all programs together say."""
    if not SCORES:
        pytest.skip("no program was run")
    with capfd.disabled():
        print(f"\ndoctor's corpus, {len(PROGRAMS)} programs:")
        print(f"{'rule':8} {'planted':>8} {'found':>6} {'wrong':>6}")
        for code, score in sorted(SCORES.items()):
            print(f"{code:8} {score.found + score.missed:8} {score.found:6} {score.wrong:6}")
        found = sum(score.found for score in SCORES.values())
        missed = sum(score.missed for score in SCORES.values())
        wrong = sum(score.wrong for score in SCORES.values())
        print(
            f"precision {found / max(found + wrong, 1):.3f}, recall {found / max(found + missed, 1):.3f}"
        )
    assert missed == 0 and wrong == 0

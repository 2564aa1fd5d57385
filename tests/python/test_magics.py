"""``%load_ext wrasse``: what cells and statements do to memory, in notebooks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command import Result, wrasse

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("IPython")


def run(tmp_path: Path, *cells: str, value: str = "") -> Result:
    """Run a notebook of ``cells`` after ``%load_ext wrasse``."""
    made = [nbformat.v4.new_code_cell(cell) for cell in ("%load_ext wrasse", *cells)]
    book = tmp_path / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made), book)
    return wrasse("run", "--quiet", "--output", tmp_path / "done.ipynb", book, WRASSE=value)


def outputs(tmp_path: Path) -> list[list[dict]]:
    cells = json.loads((tmp_path / "done.ipynb").read_text())["cells"]
    return [cell["outputs"] for cell in cells]


def test_memit(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "%memit x = bytes(3 << 20); y = bytes(5 << 20); del y",
        "%memit -r3 -t5 -c len(bytes(2 << 20))",
        "%%memit -r 2\na = bytes(1 << 20)\ndel a\nb = 1",
        "t = %memit -o z = bytes(1000)",
        # IPython has a thread of its own, and CPython's cache of attributes may let a name go.
        "print(len(x), 900 < t.net_bytes < 1200)",
    )
    assert result.err == ""
    assert result.out.splitlines() == [
        "peak memory: +8.00 MiB, kept: +3.00 MiB",
        "peak memory: +2.00 MiB, kept: +0.00 MiB (the highest of 3 runs)",
        "peak memory: +1.00 MiB, kept: +0.00 MiB (the highest of 2 runs)",
        "peak memory: +0.00 MiB, kept: +0.00 MiB",
        "3145728 True",
    ]


def test_mprun(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "def f(n):\n    a = bytes(n)\n    return a\n\ndef g(n):\n    return [f(n), f(n)]",
        f"%mprun -f f -f g -T {tmp_path}/table.txt g(2 << 20)",
        "%%mprun -f f\nf(1 << 20)\nf(4 << 20)",
        "%mprun -f g f(1)",
        "import wrasse\ng = wrasse.profile(g)\n%mprun -f g g(10)\nprint('now')\nx = g(10)",
    )
    assert result.err == ""
    first, second, *_ = result.out.split("Filename:")[1:]
    line = r"     2    2\.000 MiB    4\.000 MiB            2       a = bytes\(n\)"
    # The second call comes on top of what the first has kept.
    assert re.search(line.replace("2\\.000", "4\\.000", 1), first), result.out
    assert "     2                                   " not in second
    assert "return [f(n), f(n)]" in second
    table = (tmp_path / "table.txt").read_text()
    assert table.count("Filename:") == 2 and result.out.startswith(table)
    assert "none of the functions was called\n" in result.out
    assert result.out.count("return [f(n), f(n)]") == 3 and "now\nFilename:" in result.out


def test_a_cells_profile(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "%%wrasse\nkept = bytes(6 << 20)\ntext = '<b>'\ngone = [bytes(1 << 20)]\ndel gone\n7",
        "%%wrasse -f 2\nraise ValueError('no')",
        value="trace",
    )
    assert result.code == 1 and "ValueError: no" in result.err + result.out
    shown = outputs(tmp_path)[1]
    assert shown[0]["data"]["text/plain"] == ["7"]
    page = "".join(shown[1]["data"]["text/html"])
    assert "<td>line 1</td>" in page and "<code>kept = bytes(6 &lt;&lt; 20)</code>" in page
    assert "<td>+6,291,489</td><td>6,291,489</td><td>1</td>" in page
    plain = "".join(shown[1]["data"]["text/plain"])
    assert plain.startswith("kept +6.0 MiB in") and "peak +7.0 MiB" in plain


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%mprun 1", "name the functions"),
        ("%mprun -f nothing 1", "-f nothing: NameError"),
        ("%mprun -f len 1", "profile takes a function written in Python"),
        ("%memit -r0 1", "-r takes a number from 1 on, not 0"),
        ("%memit -x 1", "unknown option -x"),
        ("%%wrasse 3\n1", "%%wrasse takes no statement: 3"),
    ],
)
def test_misuse_is_told(tmp_path: Path, cell: str, words: str) -> None:
    result = run(tmp_path, cell)
    assert result.code == 1 and f"UsageError: {words}" in result.err + result.out

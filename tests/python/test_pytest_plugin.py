"""The pytest plugin: limits that fail tests and say where, and nothing unless asked for."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import pytest
from command import Result, python

# An installed wheel brings the plugin by its entry point.
INSTALLED = [
    each for each in importlib.metadata.entry_points(group="pytest11") if each.name == "wrasse"
]
LOAD = [] if INSTALLED else ["-p", "wrasse.pytest_plugin"]


def run(folder: Path, tests: str, *options: str, **changes: str) -> Result:
    """Run pytest on a file of tests."""
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *LOAD, *options, "test_it.py"]
    return python(*words, cwd=folder, **changes)


LIMITS = """
import pytest
KEPT = []

def helper():
    return bytes(3 << 20)

@pytest.mark.max_memory("2 MB")
def test_too_much():
    small = bytes(1000)
    x = [helper()]

@pytest.mark.max_memory("4 MB")
def test_enough():
    for _ in range(10):
        x = None
        x = [helper()]

@pytest.mark.max_memory(limit=4 << 20)
def test_in_bytes():
    x = helper()

@pytest.fixture
def large():
    return bytes(9 << 20)

@pytest.mark.max_memory(1 << 20)
def test_fixtures_do_not_count(large):
    assert len(large)

@pytest.mark.max_memory("1 MB")
class TestClass:
    def test_inside(self):
        x = helper()

@pytest.mark.max_memory("1 MB")
def test_that_fails_by_itself():
    x = helper()
    assert len(x) == 7

@pytest.mark.max_memory("2 moons")
def test_misuse():
    pass
"""


@pytest.mark.parametrize("value", ["", "1", "gc,alloc,trace=1"])
def test_max_memory(tmp_path: Path, value: str) -> None:
    result = run(tmp_path, LIMITS, WRASSE=value)
    assert result.code == 1
    assert "4 failed, 3 passed" in result.out
    assert "3.0 MiB were live at once, the limit is 2.0 MiB (max_memory)" in result.out
    assert "       3.0 MiB  test_it.py:6" in result.out
    assert "FAILED test_it.py::TestClass::test_inside - Failed: 3.0 MiB were live" in result.out
    assert "assert 3145728 == 7" in result.out
    assert "max_memory: '2 moons': a size is a number of bytes" in result.out


LEAKS = """
import logging, functools, re, pytest
CACHE = []
ONCE = {}

def remember(what):
    CACHE.append(what)

def noise():
    ONCE.setdefault("x", bytes(10_000))
    logging.getLogger("a").warning("some %s", "words")
    print("said")
    re.compile(f"a{len(ONCE)}")

@pytest.mark.no_leaks
def test_leak():
    noise()
    remember(bytes(5_000))

@pytest.mark.no_leaks()
def test_clean():
    noise()
    x = [bytes(1_000) for _ in range(100)]
    x.append(x)

@pytest.mark.no_leaks(allow="1 MB", rounds=3)
def test_allowed():
    remember(bytes(5_000))

@pytest.mark.parametrize("size", [100, 200])
@pytest.mark.no_leaks
def test_arguments(size, tmp_path):
    CACHE.append(bytearray(size * 1_000)) if size == 200 else None

@pytest.mark.no_leaks(3)
def test_misuse():
    pass
"""


def test_no_leaks(tmp_path: Path) -> None:
    result = run(tmp_path, LEAKS)
    assert result.code == 1
    assert "3 failed, 3 passed" in result.out, result.out
    assert "each call keeps 4.9 KiB more (no_leaks, 2 further calls)" in result.out
    assert "       4.9 KiB  test_it.py:18 (1 blocks)" in result.out
    assert "test_arguments[200]" in result.out and "keeps 195.4 KiB more" in result.out
    assert "no_leaks takes rounds= and allow= only" in result.out


CYCLES = """
import pytest

class Parent:
    def __init__(self):
        self.child = Child(self)

class Child:
    def __init__(self, parent):
        self.parent = parent

@pytest.mark.no_cycles
def test_cycle():
    for _ in range(10):
        Parent()

@pytest.mark.no_cycles
def test_clean():
    with pytest.raises(KeyError) as error:
        {}["x"]
    assert error.value.args
    assert [Child(None) for _ in range(10)]

@pytest.mark.no_cycles
def test_list():
    x = []
    x.append(x)
"""


@pytest.mark.parametrize("value", ["", "gc"])
def test_no_cycles(tmp_path: Path, value: str) -> None:
    result = run(tmp_path, CYCLES, WRASSE=value)
    assert result.code == 1
    assert "2 failed, 1 passed" in result.out, result.out
    assert "are left in reference cycles" in result.out
    assert "test_it.py:15 (10 Parent" in result.out or "test_it.py:6 (10 Child" in result.out
    assert "(1 list)" in result.out


PLAIN = """
import sys
def test_one():
    x = bytes(8 << 20)
def test_two():
    x = bytes(2 << 20)
def test_imported():
    print("IMPORTED", sorted(name for name in sys.modules if name.split(".")[0] == "wrasse"))
    import wrasse
    print("PROFILE", wrasse.status()["profile"])
"""


def test_every_test_can_be_measured(tmp_path: Path) -> None:
    result = run(tmp_path, PLAIN, "--wrasse", "--wrasse-top", "2")
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines() if "test_it.py::" in line]
    assert rows == [["8.0", "MiB", "test_it.py::test_one"], ["2.0", "MiB", "test_it.py::test_two"]]


def test_nothing_happens_unless_asked_for(tmp_path: Path) -> None:
    result = run(tmp_path, PLAIN, "-s")
    assert result.code == 0 and "memory of tests" not in result.out
    loaded = ["wrasse", "wrasse._core", "wrasse.pytest_plugin"]
    assert f"IMPORTED {loaded}" in result.out
    assert "PROFILE off" in result.out


@pytest.mark.skipif(not importlib.util.find_spec("xdist"), reason="pytest-xdist is not installed")
def test_with_xdist(tmp_path: Path) -> None:
    result = run(tmp_path, LIMITS, "-n", "2", "--wrasse")
    assert "4 failed, 3 passed" in result.out, result.out
    assert "3.0 MiB were live at once, the limit is 2.0 MiB (max_memory)" in result.out
    assert "memory of tests (wrasse)" in result.out
    assert len(re.findall(r"^ +[\d.]+ \w+  test_it.py::", result.out, re.MULTILINE)) == 6


def test_the_entry_point_is_declared() -> None:
    if INSTALLED:
        assert INSTALLED[0].value == "wrasse.pytest_plugin"
    else:
        text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
        assert '[project.entry-points.pytest11]\nwrasse = "wrasse.pytest_plugin"' in text

"""What every command that shows something does with wrong files, pipes and ``--json``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import environment, wrasse

PROGRAM = """
@profile
def make():
    return [bytes(100) for _ in range(1000)]

keep = [make() for _ in range(20)]
"""
# Each of them with a capture in the place of None.
READERS: list[list[str | None]] = [
    ["stats", None],
    ["stats", None, "--json"],
    ["table", None],
    ["table", None, "--json"],
    ["tree", None],
    ["tree", None, "--json"],
    ["diff", None, None],
    ["diff", None, None, "--json"],
    ["report", None],
    ["export", None, "--format", "collapsed"],
    ["export", None, "--format", "csv"],
    ["export", None, "--format", "pprof"],
    ["live", None],
    ["live", None, "--json"],
    ["doctor", None],
]


def words(reader: list[str | None], file: str | Path) -> list[str]:
    return [str(file) if word is None else word for word in reader]


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a capture, and files that are none."""
    folder = tmp_path_factory.mktemp("captures")
    # Under `wrasse lines` profile is a builtin; here it does nothing.
    (folder / "app.py").write_text("profile = lambda function: function\n" + PROGRAM)
    (folder / "lines.py").write_text(PROGRAM)
    assert wrasse("run", "--quiet", "-o", "good.wrasse", "app.py", cwd=folder).code == 0
    content = (folder / "good.wrasse").read_bytes()
    # In the middle of the frame that says how it ended.
    (folder / "cut.wrasse").write_bytes(content[:-20])
    (folder / "begun.wrasse").write_bytes(content[:20])
    (folder / "empty.wrasse").write_bytes(b"")
    (folder / "text.wrasse").write_text("print('hello')\n")
    (folder / "damaged.wrasse").write_bytes(content[:300] + b"\xff" + content[301:])
    (folder / "folder.wrasse").mkdir()
    # The look at a file that has just been made waits for what will be in it.
    for name in ("cut", "begun", "empty"):
        os.utime(folder / f"{name}.wrasse", (1, 1))
    return folder


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: " ".join(filter(None, reader)))
def test_wrong_files_are_refused_in_one_line(captures: Path, reader: list[str | None]) -> None:
    for name in ("begun", "empty", "text", "damaged", "folder", "missing"):
        result = wrasse(*words(reader, f"{name}.wrasse"), cwd=captures)
        assert (result.code, result.out) == (2, ""), (name, result)
        assert result.err.count("\n") == 1 and f"{name}.wrasse" in result.err, (name, result.err)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: " ".join(filter(None, reader)))
def test_a_file_that_ends_early_is_shown_as_far_as_it_goes(
    captures: Path, reader: list[str | None]
) -> None:
    binary = "pprof" in reader
    for name in ("good", "cut"):
        result = wrasse(*words(reader, f"{name}.wrasse"), cwd=captures)
        assert (result.code, result.err) == (0, ""), (name, result)
        assert result.out
        if "--json" in reader and not binary:
            json.loads(result.out)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: " ".join(filter(None, reader)))
def test_a_reader_that_goes_away_is_no_error(captures: Path, reader: list[str | None]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "wrasse", *words(reader, "good.wrasse")],
        cwd=captures,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_a_capture_is_no_program(captures: Path) -> None:
    for command in ("run", "lines"):
        result = wrasse(command, "good.wrasse", cwd=captures)
        assert (result.code, result.out) == (2, "")
        assert "'wrasse stats good.wrasse'" in result.err and result.err.count("\n") == 1


def test_lines_that_nobody_reads(captures: Path) -> None:
    whole = wrasse("lines", "--json", "lines.py", cwd=captures)
    assert whole.code == 0 and json.loads(whole.out)

    def written_to(file: int) -> tuple[int, str]:
        """Exit code and complaints."""
        # Without a buffer the tables are written when they are made, not when Python ends.
        done = subprocess.run(
            [sys.executable, "-u", "-m", "wrasse", "lines", "lines.py"],
            cwd=captures,
            env=environment(),
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        os.close(file)
        return done.returncode, done.stderr

    read, write = os.pipe()
    os.close(read)
    assert written_to(write) == (0, "")
    line = "wrasse: cannot write the tables: [Errno 28] No space left on device\n"
    assert written_to(os.open("/dev/full", os.O_WRONLY)) == (0, line)

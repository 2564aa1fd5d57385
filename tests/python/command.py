"""Runs the same program under ``python`` and under ``wrasse run``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Argument = str | bytes | os.PathLike[str]


@dataclass(frozen=True)
class Result:
    """What a process said and how it ended."""

    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without wrasse's variables, and with ``changes``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WRASSE")}
    return kept | changes


def start(
    arguments: Sequence[Argument], stdin: str | None, cwd: Path | None, **changes: str
) -> Result:
    """Run the interpreter of these tests with ``arguments``."""
    done = subprocess.run(
        [sys.executable, *arguments],
        input=b"" if stdin is None else stdin.encode(),
        capture_output=True,
        cwd=cwd,
        env=environment(**changes),
        timeout=240,
    )
    out, err = (stream.decode(errors="backslashreplace") for stream in (done.stdout, done.stderr))
    return Result(done.returncode, out, err)


def python(
    *arguments: Argument, stdin: str | None = None, cwd: Path | None = None, **changes: str
) -> Result:
    """``python …`` on its own memory management."""
    return start(arguments, stdin, cwd, **changes)


def wrasse(
    *arguments: Argument, stdin: str | None = None, cwd: Path | None = None, **changes: str
) -> Result:
    """``wrasse …``."""
    return start(("-m", "wrasse", *arguments), stdin, cwd, **changes)


def both(
    *program: Argument, stdin: str | None = None, cwd: Path | None = None, **changes: str
) -> Result:
    """Run ``program`` both ways; everything seen must be equal. Returns it."""
    stock = python(*program, stdin=stdin, cwd=cwd, **changes)
    ours = wrasse("run", "--quiet", *program, stdin=stdin, cwd=cwd, **changes)
    assert ours == stock, f"wrasse: {ours}\npython: {stock}"
    return ours

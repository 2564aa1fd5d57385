"""IPython and Jupyter: ``%load_ext wrasse`` brings ``%memit``, ``%mprun`` and ``%%wrasse``."""

from __future__ import annotations

import ast
import html
import linecache
import sys
from pathlib import Path

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from wrasse import _core
from wrasse._track import Track
from wrasse.lines import code_of, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

#: Lines that ``%%wrasse`` shows.
TOP = 12
MIB = 1 << 20


def _options(words: str, flags: str, valued: str) -> tuple[dict[str, list[str]], str]:
    """Options in front of a statement, and the statement."""
    found: dict[str, list[str]] = {}
    rest = words.strip()
    while rest.startswith("-"):
        first, _, after = rest.partition(" ")
        letter, attached = first[1:2], first[2:]
        if first == "--":
            return found, after.strip()
        if letter in flags and letter and not attached:
            found.setdefault(letter, [])
            rest = after.strip()
        elif letter in valued and letter:
            if attached:
                value, rest = attached, after.strip()
            else:
                value, _, rest = after.strip().partition(" ")
                if not value:
                    raise UsageError(f"-{letter} needs a value")
                rest = rest.strip()
            found.setdefault(letter, []).append(value)
        else:
            raise UsageError(f"unknown option {first}")
    return found, rest


def _number(options: dict[str, list[str]], letter: str, default: int) -> int:
    value = options.get(letter, [str(default)])[-1]
    if not value.isdigit() or int(value) < 1:
        raise UsageError(f"-{letter} takes a number from 1 on, not {value}")
    return int(value)


class Cell:
    """Code of the notebook, ready to run there."""

    def __init__(self, shell: InteractiveShell, source: str) -> None:
        """Compiled, with its lines known to tracebacks and tables."""
        self.names: dict[str, Any] = shell.user_ns
        transform: Callable[[str], str] = shell.transform_cell
        text = transform(source)
        self.file: str = shell.compile.cache(text, shell.execution_count, source)
        tree = ast.parse(text, self.file)
        self.last: CodeType | None = None
        end = tree.body[-1] if tree.body else None
        if isinstance(end, ast.Expr) and not text.rstrip().endswith(";"):
            del tree.body[-1]
            self.last = compile(ast.Expression(end.value), self.file, "eval")
        self.body = compile(tree, self.file, "exec")

    def run(self) -> object:
        """Run it; returns the value of its last expression."""
        exec(self.body, self.names)
        return eval(self.last, self.names) if self.last else None


class Profile:
    """What a cell did to memory; shows as a table."""

    def __init__(self, track: Track, file: str) -> None:
        """Made by ``%%wrasse``."""
        self.track = track
        shown = sorted(
            (line for line in track.lines if line.allocated_bytes or line.net_bytes),
            key=lambda line: (line.net_bytes, line.allocated_bytes),
            reverse=True,
        )
        #: Place, source text, bytes kept, bytes allocated, blocks allocated.
        self.rows = [
            (
                f"line {line.line}" if line.file == file else f"{line.file}:{line.line}",
                linecache.getline(line.file, line.line).strip(),
                line.net_bytes,
                line.allocated_bytes,
                line.allocated_blocks,
            )
            for line in shown[:TOP]
        ]
        self.others = len(shown) - len(self.rows)

    def __repr__(self) -> str:
        """The table as text."""
        return str(self.track)

    def _repr_html_(self) -> str:
        """The table as HTML, every word from the program escaped."""
        first, *_ = str(self.track).splitlines()
        cells = [
            f"<tr><td>{html.escape(place)}</td><td style='text-align:left'><code>"
            f"{html.escape(text)}</code></td><td>{kept:+,}</td><td>{allocated:,}</td>"
            f"<td>{blocks:,}</td></tr>"
            for place, text, kept, allocated, blocks in self.rows
        ]
        more = f"<p>{self.others:,} more lines</p>" if self.others > 0 else ""
        return (
            f"<p>{html.escape(first)}</p><table><thead><tr><th>place</th>"
            "<th style='text-align:left'>source</th><th>bytes kept</th><th>bytes allocated</th>"
            f"<th>blocks allocated</th></tr></thead><tbody>{''.join(cells)}</tbody></table>{more}"
        )


def _memit(shell: InteractiveShell, line: str, cell: str | None = None) -> object:
    """Measure the highest memory of a statement, or of a cell.

    ``%memit [-r N] [-o] statement``: -r runs it N times and takes the highest, -o
    returns the figures. -c, -t and -i are memory_profiler's and have no effect: nothing
    is sampled, and every byte counts.
    """
    options, statement = _options(line, "oc", "rti")
    if cell is not None:
        statement = f"{statement}\n{cell}" if statement else cell
    runs = _number(options, "r", 1)
    code = Cell(shell, statement)
    best: Track | None = None
    for _ in range(runs):
        with Track() as track:
            code.run()
        if best is None or track.peak_bytes > best.peak_bytes:
            best = track
    assert best is not None
    of_runs = f" (the highest of {runs} runs)" if runs > 1 else ""
    print(
        f"peak memory: {best.peak_bytes / MIB:+.2f} MiB, "
        f"kept: {best.net_bytes / MIB:+.2f} MiB{of_runs}"
    )
    return best if "o" in options else None


def _mprun(shell: InteractiveShell, line: str, cell: str | None = None) -> object:
    """Measure the lines of functions while a statement or a cell runs.

    ``%mprun -f function [-f another] [-T file] [-r] statement``: -T writes the tables to
    a file, -r returns them. -c is memory_profiler's and has no effect.
    """
    options, statement = _options(line, "rc", "fT")
    if not options.get("f"):
        raise UsageError("name the functions to be measured: %mprun -f function statement")
    if cell is not None:
        statement = f"{statement}\n{cell}" if statement else cell
    functions = []
    for name in options["f"]:
        try:
            functions.append(eval(name, shell.user_ns))
        except Exception as error:
            raise UsageError(f"-f {name}: {type(error).__name__}: {error}") from None
    code = Cell(shell, statement)
    try:
        codes = [code_of(function) for function in functions]
    except TypeError as error:
        raise UsageError(str(error)) from None
    were_watched = [_core.lines_forget(each) for each in codes]
    ended = ""
    try:
        for function in functions:
            watch(function, shows_calls=False)
        _core.lines_trace(True)
        try:
            code.run()
        except SystemExit:
            ended = "the statement has called sys.exit()\n"
        except KeyboardInterrupt:
            ended = "the statement was interrupted\n"
        finally:
            _core.lines_trace(False)
        tables = [_core.lines_table(each, 3) for each in codes]
    finally:
        for function, each, was_watched in zip(functions, codes, were_watched, strict=True):
            _core.lines_forget(each)
            if was_watched:
                watch(function)
    text = "".join(table for table in tables if table) or "none of the functions was called\n"
    print(text + ended, end="")
    if "T" in options:
        Path(options["T"][-1]).write_text(text, encoding="utf-8")
    return text if "r" in options else None


def _wrasse(shell: InteractiveShell, line: str, cell: str) -> object:
    """Show what a cell does to memory, after its output. ``-f N`` keeps N frames (5)."""
    options, rest = _options(line, "", "f")
    if rest:
        raise UsageError(f"%%wrasse takes no statement: {rest}")
    from IPython.display import display

    code = Cell(shell, cell)
    with Track(_number(options, "f", 5)) as track:
        result = code.run()
    if result is not None:
        show: Callable[[object], None] = sys.displayhook
        show(result)
    present: Callable[[object], object] = display
    present(Profile(track, code.file))
    return None


def _bound(shell: InteractiveShell, function: Callable[..., object]) -> Callable[..., object]:
    def magic(line: str, cell: str | None = None) -> object:
        return function(shell, line) if cell is None else function(shell, line, cell)

    magic.__doc__ = function.__doc__
    return magic


def load(shell: InteractiveShell) -> None:
    """Register the magics."""
    register: Callable[..., None] = shell.register_magic_function
    register(_bound(shell, _memit), magic_kind="line_cell", magic_name="memit")
    register(_bound(shell, _mprun), magic_kind="line_cell", magic_name="mprun")
    register(_bound(shell, _wrasse), magic_kind="cell", magic_name="wrasse")

"""``wrasse run notebook.ipynb``: outputs as in Jupyter, endings as in Python."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from command import Result, environment, wrasse

Cell = str | tuple[str, list[str]]


def notebook(path: Path, *cells: Cell, **metadata: object) -> Path:
    """Write a notebook; cells starting with ``#md`` are prose, a pair adds tags."""
    made = []
    for cell in cells:
        source, tags = (cell, []) if isinstance(cell, str) else cell
        if source.startswith("#md"):
            made.append(nbformat.v4.new_markdown_cell(source.removeprefix("#md")))
        else:
            made.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    book = nbformat.v4.new_notebook(cells=made, metadata=metadata)
    nbformat.write(book, path)
    return path


def run(tmp_path: Path, *cells: Cell, **metadata: object) -> Result:
    """Run a notebook of ``cells``, silently at the end."""
    return wrasse("run", "--quiet", notebook(tmp_path / "book.ipynb", *cells, **metadata))


def executed(tmp_path: Path, *cells: Cell) -> tuple[Result, list[Any]]:
    """Run a notebook with ``--output``; returns the code cells written."""
    book = notebook(tmp_path / "book.ipynb", *cells)
    done = tmp_path / "done.ipynb"
    result = wrasse("run", "--quiet", "--output", done, book)
    written = nbformat.read(done, as_version=nbformat.NO_CONVERT)
    nbformat.validate(written)
    return result, [cell for cell in written.cells if cell.cell_type == "code"]


# --- What is seen -----------------------------------------------------------------------------


def test_values_are_numbered_as_in_jupyter(tmp_path: Path) -> None:
    result = run(
        tmp_path, "x = 1", "x + 1", "None", "'text';", "", "_, Out[2], In[1]", "print('p')"
    )
    assert result == Result(0, "Out[2]: 2\nOut[5]: (2, 2, 'x = 1')\np\n", "")


def test_prose_is_shown(tmp_path: Path) -> None:
    result = run(tmp_path, "#md# Title\n\nSome *prose*.", "print(1)")
    assert result.out == "\n# Title\n\nSome *prose*.\n\n1\n"


def test_rich_display_falls_back_to_text(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "from IPython.display import HTML, Markdown, display\ndisplay(HTML('<b>'), 3)\nMarkdown('*m*')",
        "display({'image/png': 'aaaa', 'text/html': 'x'}, raw=True)",
    )
    assert result.code == 0, result.err
    assert result.out == (
        "<IPython.core.display.HTML object>\n3\n"
        "Out[1]: <IPython.core.display.Markdown object>\n<image/png, text/html>\n"
    )


def test_magics_and_shell_commands(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "!echo from the shell",
        "files = !echo one; echo two\nfiles",
        "%%bash\necho in bash",
        "%timeit -n1 -r1 pass",
        "%who_ls str",
    )
    assert result.code == 0, result.err
    assert "from the shell" in result.out and "Out[2]: ['one', 'two']" in result.out
    assert "in bash\n" in result.out and "per loop" in result.out


def test_top_level_await_and_tasks(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "import asyncio\nasync def f(n):\n    await asyncio.sleep(0.01)\n    return n\nawait f(1)",
        "task = asyncio.create_task(f(2))",
        "await task",
        "%%capture kept\nprint('captured')",
        "kept.stdout",
        "[await f(k) for k in (3, 4)]",
    )
    assert (result.code, result.err) == (0, "")
    assert result.out == "Out[1]: 1\nOut[3]: 2\nOut[5]: 'captured\\n'\nOut[6]: [3, 4]\n"


def test_main_argv_and_path_are_the_notebooks(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "beside.py").write_text("where = 'beside the notebook'")
    (tmp_path / "json.py").write_text("raise SystemError('must not be imported')")
    notebook(
        folder / "book.ipynb",
        "import beside, os, pickle, sys\nprint(beside.where, __name__, sys.argv, os.getcwd())",
        "class A: pass\nassert type(pickle.loads(pickle.dumps(A()))) is A",
        "assert sys.modules['__main__'].A is A and sys.path[0] == os.path.dirname(beside.__file__)",
    )
    result = wrasse("run", "--quiet", "folder/book.ipynb", "--quiet", "-x", cwd=tmp_path)
    expected = f"beside the notebook __main__ ['folder/book.ipynb', '--quiet', '-x'] {tmp_path}\n"
    assert result == Result(0, expected, "")


def test_runs_on_wrasse(tmp_path: Path) -> None:
    book = notebook(
        tmp_path / "book.ipynb", "import wrasse\nwrasse.status()['gc'], wrasse.status()['profile']"
    )
    result = wrasse("run", "--trace", "--json", tmp_path / "s.json", book)
    assert result.out == "Out[1]: ('wrasse', 'on')\n"
    assert "memory of this run" in result.err and "largest lines" in result.err
    assert json.loads((tmp_path / "s.json").read_text())["trace"]["peak_bytes"] > 0


# --- How it ends --------------------------------------------------------------------------------


def test_exception_stops_with_its_traceback(tmp_path: Path) -> None:
    result = run(
        tmp_path, "print('before')", "def f():\n    raise ValueError('boom')\nf()", "print('after')"
    )
    assert (result.code, result.out) == (1, "before\n")
    assert "\x1b" not in result.err
    assert result.err.endswith("ValueError: boom\n")
    assert "----> 3 f()" in result.err and "In[2], line 2, in f()" in result.err
    assert "notebook.py" not in result.err and "shell.py" not in result.err


@pytest.mark.parametrize(
    ("source", "part"),
    [("x = = 1", "SyntaxError"), ("%nosuchmagic", "nosuchmagic"), ("await nosuch()", "NameError")],
)
def test_every_kind_of_failure_stops(tmp_path: Path, source: str, part: str) -> None:
    result = run(tmp_path, source, "print('after')")
    assert (result.code, result.out) == (1, "")
    assert part in result.err


def test_expected_exceptions_and_skipped_cells_do_not_stop(tmp_path: Path) -> None:
    result = run(
        tmp_path, ("1/0", ["raises-exception"]), ("1/0", ["skip-execution"]), "print('after')"
    )
    assert (result.code, result.out) == (0, "after\n")
    assert result.err.count("ZeroDivisionError: division by zero") == 1


@pytest.mark.parametrize(
    ("source", "code", "err"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit('a message')", 1, "a message\n"),
        ("import asyncio, sys\nawait asyncio.sleep(0)\nsys.exit(4)", 4, ""),
        ("raise SystemExit(5)", 5, ""),
        ("quit", 0, ""),
        ("exit()", 0, ""),
    ],
)
def test_exit_in_a_cell(tmp_path: Path, source: str, code: int, err: str) -> None:
    assert run(tmp_path, "print('before')", source, "print('after')") == Result(
        code, "before\n", err
    )


@pytest.mark.parametrize("wait", ["time.sleep(5)", "await asyncio.sleep(5)"])
def test_interrupt(tmp_path: Path, wait: str) -> None:
    source = "import asyncio, os, signal, time\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\n"
    result = run(
        tmp_path, f"{source}signal.setitimer(signal.ITIMER_REAL, 0.2)\n{wait}", "print('after')"
    )
    assert (result.code, result.out) == (-signal.SIGINT, "")
    assert result.err.rstrip().endswith("KeyboardInterrupt:")
    assert result.err.count("Traceback") == 1


def test_closed_streams(tmp_path: Path) -> None:
    book = notebook(tmp_path / "book.ipynb", "#mdprose", "1", "print(2)", "open('ran', 'w')\n1/0")
    command = f"{sys.executable} -m wrasse run {book} >&- 2>&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment())
    assert done.returncode == 1 and (tmp_path / "ran").exists()


def test_nothing_of_the_users_ipython_is_touched(tmp_path: Path) -> None:
    book = notebook(tmp_path / "book.ipynb", "print(get_ipython().ipython_dir)", "%history")
    home = tmp_path / "home"
    (home / ".ipython" / "profile_default" / "startup").mkdir(parents=True)
    startup = home / ".ipython" / "profile_default" / "startup" / "hello.py"
    startup.write_text("print('startup')")
    result = wrasse("run", "--quiet", book, HOME=str(home), VIRTUAL_ENV="/elsewhere")
    assert result.code == 0 and result.err == "" and "startup" not in result.out
    used = Path(result.out.splitlines()[0])
    assert not used.exists() and home not in used.parents
    assert [each for each in home.rglob("*") if each.is_file()] == [startup]


# --- --output -----------------------------------------------------------------------------------


def test_output_holds_every_kind_of_output(tmp_path: Path) -> None:
    result, cells = executed(
        tmp_path,
        "#mdprose",
        "import sys\nprint('a'); print('b')\nprint('c', file=sys.stderr)\nprint('d')",
        "from IPython.display import HTML, display\ndisplay(HTML('<b>'))\nHTML('<i>')",
        "!echo shell",
        "",
        ("1/0", ["raises-exception"]),
        "print('\\x41', end='')\nsys.stdout.write('é')",
    )
    assert result.code == 0, result.err
    streams, rich, shell, empty, failed, last = cells
    assert [cell.execution_count for cell in cells] == [1, 2, 3, None, 4, 5]
    assert [(each.name, each.text) for each in streams.outputs] == [
        ("stdout", "a\nb\n"),
        ("stderr", "c\n"),
        ("stdout", "d\n"),
    ]
    shown, value = rich.outputs
    assert (shown.output_type, shown.data["text/html"]) == ("display_data", "<b>")
    assert (value.output_type, value.data["text/html"], value.execution_count) == (
        "execute_result",
        "<i>",
        2,
    )
    assert shell.outputs[0].text.strip() == "shell"
    assert empty.outputs == []
    (error,) = failed.outputs
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero")
    assert "1/0" in "\n".join(error.traceback)
    assert last.outputs[0].text == "Aé" and last.outputs[1].data["text/plain"] == "1"
    assert "a\nb\nd\n<IPython.core.display.HTML object>\n" in result.out and "c\n" in result.err


def test_output_into_a_log_is_appended(tmp_path: Path) -> None:
    book = notebook(tmp_path / "book.ipynb", "1 + 1")
    log = tmp_path / "log"
    log.write_text("first\n")
    with log.open("a") as out:
        done = subprocess.run(
            [sys.executable, "-m", "wrasse", "run", "--quiet", "--output", "/dev/stdout", book],
            stdout=out,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    assert (done.returncode, done.stderr) == (0, b"")
    shown, _, written = log.read_text().partition("Out[1]: 2\n")
    assert shown == "first\n"
    assert json.loads(written)["cells"][0]["execution_count"] == 1


def test_output_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    book = notebook(tmp_path / "book.ipynb", "import shutil; shutil.rmtree('gone')")
    (tmp_path / "gone").mkdir()
    result = wrasse("run", "--quiet", "--output", "gone/done.ipynb", book, cwd=tmp_path)
    place = tmp_path / "gone" / "done.ipynb"
    assert result == Result(1, "", f"wrasse: cannot write {place}: No such file or directory\n")


def test_output_of_displays_that_change(tmp_path: Path) -> None:
    _, cells = executed(
        tmp_path,
        "from IPython.display import clear_output, display\nh = display('one', display_id=True)\nh.update('two')",
        "h.update('three')\ndisplay('other')",
        "print('gone')\nclear_output(wait=True)\nprint('kept')",
        "print('gone')\nclear_output()",
    )
    assert [[output.data["text/plain"] for output in cell.outputs] for cell in cells[:2]] == [
        ["'three'"],
        ["'other'"],
    ]
    assert [output.text for output in cells[2].outputs] == ["kept\n"]
    assert cells[3].outputs == []


def test_output_of_binary_and_json_data(tmp_path: Path) -> None:
    source = "class P:\n    def _repr_png_(self): return b'\\x89PNG'\n    def _repr_json_(self): return {'a': [1]}\nP()"
    _, (cell,) = executed(tmp_path, source)
    data = cell.outputs[0].data
    assert data["image/png"].strip() == "iVBORw==" and data["application/json"] == {"a": [1]}


@pytest.mark.parametrize(
    ("source", "code", "kinds"),
    [
        ("print(2); 1/0", 1, ["stream", "error"]),
        ("import sys; print(2); sys.exit(7)", 7, ["stream"]),
    ],
)
def test_output_is_written_however_it_ends(
    tmp_path: Path, source: str, code: int, kinds: list[str]
) -> None:
    result, (first, last, never) = executed(tmp_path, "1", source, "3")
    assert result.code == code
    assert first.outputs[0].data["text/plain"] == "1"
    assert [output.output_type for output in last.outputs] == kinds
    assert (never.execution_count, never.outputs) == (None, [])


def test_output_may_be_the_notebook_itself(tmp_path: Path) -> None:
    book = notebook(tmp_path / "book.ipynb", "6 * 7")
    book.chmod(0o640)
    for _ in range(2):  # the second time over the results of the first
        assert wrasse("run", "--quiet", "--output", book, book).out == "Out[1]: 42\n"
        (cell,) = nbformat.read(book, as_version=4).cells
        assert (cell.execution_count, len(cell.outputs)) == (1, 1)
    assert book.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["book.ipynb"]


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        '{"a": 1}',
        "print(1)",
        '{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}',
        "\x00",
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(content)
    result = wrasse("run", "--output", tmp_path / "done.ipynb", path)
    assert (result.code, result.out) == (2, "")
    assert re.fullmatch(r"wrasse: \S*bad\.ipynb is not a notebook: .+\n", result.err)
    assert [each.name for each in tmp_path.iterdir()] == ["bad.ipynb"]


def test_other_languages_are_refused(tmp_path: Path) -> None:
    kernel = {"name": "ir", "display_name": "R", "language": "R"}
    result = run(tmp_path, "cat('x')", kernelspec=kernel)
    assert result.code == 2
    assert (
        result.err
        == f"wrasse: {tmp_path}/book.ipynb is written in R: only Python notebooks can be run\n"
    )


@pytest.mark.parametrize("missing", ["IPython", "nbformat"])
def test_missing_libraries_are_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "shadow").mkdir()
    text = f"raise ModuleNotFoundError('No module named {missing}')"
    (tmp_path / "shadow" / f"{missing}.py").write_text(text)
    result = wrasse(
        "run", notebook(tmp_path / "book.ipynb", "1"), PYTHONPATH=str(tmp_path / "shadow")
    )
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "pip install 'wrasse[notebook]'" in result.err and missing in result.err


def test_old_notebooks_are_read(tmp_path: Path) -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [
            {
                "metadata": {},
                "cells": [
                    {
                        "cell_type": "code",
                        "input": ["1 + 1"],
                        "language": "python",
                        "metadata": {},
                        "outputs": [],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(old))
    assert wrasse("run", "--quiet", path) == Result(0, "Out[1]: 2\n", "")

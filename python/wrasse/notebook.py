"""Runs a notebook in this process: ``wrasse run notebook.ipynb``.

``wrasse run`` starts it as ``python -m wrasse.notebook [--output FILE] -- NOTEBOOK [ARGUMENTS]``.
"""

from __future__ import annotations

import io
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from wrasse import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import ExecutionResult
    from nbformat import NotebookNode

    from wrasse.shell import NotebookShell, Recorder


def _read(path: Path) -> NotebookNode:
    """The notebook at ``path``, in the current notebook format."""
    import nbformat

    read: Callable[..., NotebookNode] = nbformat.read
    with warnings.catch_warnings():
        # Older notebooks without cell ids are fine to run.
        warnings.simplefilter("ignore")
        try:
            notebook = read(path, as_version=4)
            nbformat.validate(notebook)
        except OSError as error:
            _core.refuse(f"cannot read {path}: {error.strerror}")
        except (
            Exception
        ) as error:  # nbformat raises whatever a malformed file makes it stumble over
            reason = str(error).strip().splitlines() or [type(error).__name__]
            _core.refuse(f"{path} is not a notebook: {reason[0]:.200}")
    return notebook


def _language(notebook: NotebookNode) -> str:
    """The language of the notebook's kernel; Python where it does not say."""
    metadata = notebook.metadata
    kernel = metadata.get("kernelspec", {}).get("language")
    return str(kernel or metadata.get("language_info", {}).get("name") or "python")


def _write(notebook: NotebookNode, path: str) -> str | None:
    """Write the notebook, whole or not at all where ``path`` is a plain file; why not, if not."""
    import nbformat

    as_text: Callable[..., str] = nbformat.writes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = as_text(notebook) + "\n"
    return _core.write(path, text)


def _clear(notebook: NotebookNode) -> None:
    """Remove the results of an earlier run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    notebook.metadata.language_info = {
        "name": "python",
        "version": ".".join(map(str, sys.version_info[:3])),
    }


def _run_cells(
    notebook: NotebookNode, shell: NotebookShell, recorder: Recorder
) -> BaseException | None:
    """Run the cells in order; returns the exception that ended the run."""
    run: Callable[..., ExecutionResult] = shell.run_cell
    for cell in notebook.cells:
        tags: list[str] = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown" and cell.source.strip():
            recorder.show(f"\n{cell.source.strip()}\n")
        if cell.cell_type != "code" or not cell.source.strip() or "skip-execution" in tags:
            continue
        cell.outputs = recorder.begin()
        result = run(cell.source, store_history=True)
        cell.execution_count = result.execution_count
        recorder.terminal.flush()
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            return error
        if error is not None and "raises-exception" not in tags:
            return error
        if shell.left:
            return SystemExit(0)
    return None


def main(arguments: list[str]) -> int:
    """Run the notebook that ``arguments`` name and return the exit code."""
    output: str | None = None
    if arguments[:1] == ["--output"]:
        output, arguments = arguments[1], arguments[2:]
    name, *rest = arguments[1:]
    path = Path(name)
    # -m put the current directory here; no file in it is to stand in for a
    # module that IPython imports.
    local_imports = not sys.flags.safe_path
    if local_imports:
        del sys.path[0]
    try:
        from wrasse.shell import NotebookShell, Recorder
    except ImportError as missing:
        _core.refuse(
            f"notebooks need IPython and nbformat: pip install 'wrasse[notebook]' ({missing})"
        )
    notebook = _read(path)
    if _language(notebook).lower() not in {"python", "python3", "ipython"}:
        _core.refuse(
            f"{path} is written in {_language(notebook)}: only Python notebooks can be run"
        )
    if local_imports:
        sys.path.insert(0, str(path.absolute().parent))
    sys.argv[:] = [name, *rest]

    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a cell prints is seen at once, in a pipe as on a terminal.
        sys.stdout.reconfigure(line_buffering=True)
    recorder = Recorder()
    if output is not None:
        recorder.record_streams()
    _clear(notebook)
    with tempfile.TemporaryDirectory(prefix="wrasse-", ignore_cleanup_errors=True) as directory:
        shell = NotebookShell.start(directory, recorder)
        error = _run_cells(notebook, shell, recorder)
        # IPython forgets all names when it ends.
        _core.look()
    if output is not None:
        failure = _write(notebook, output)
        if failure is not None:
            print(f"wrasse: {failure}", file=recorder.errors)
            return 1
    if isinstance(error, SystemExit):
        sys.exit(error.code)
    if isinstance(error, KeyboardInterrupt):
        # Its traceback was shown; Python now ends as an interrupted process does.
        sys.excepthook = lambda *_: None
        raise error
    return 0 if error is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

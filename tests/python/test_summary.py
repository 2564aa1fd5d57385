"""What ``wrasse run`` tells at the end of a run, and when."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import environment, python, wrasse

CYCLES = """
import gc
class Node:
    def __init__(self):
        self.me = self
gc.collect()
for _ in range(1000):
    Node()
gc.collect()
"""


def code(source: str, *options: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """Run ``source`` with ``options``; returns exit code, output and error output."""
    result = wrasse("run", *options, "-c", source, cwd=cwd)
    return result.code, result.out, result.err


def summaries(text: str) -> int:
    """How many summaries ``text`` holds."""
    return len(re.findall(r"^wrasse \d+\.\d+\.\d+: memory of this run", text, re.MULTILINE))


def names(folder: Path) -> list[str]:
    """The names in ``folder``."""
    return sorted(each.name for each in folder.iterdir())


def as_json(source: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    """The JSON summary of ``source``, which must print nothing on standard error."""
    file = tmp_path / "summary.json"
    status, _, err = code(source, "--quiet", "--json", str(file), *options)
    assert (status, err) == (0, "")
    summary: dict[str, Any] = json.loads(file.read_text())
    return summary


def test_text_tells_the_collectors_work() -> None:
    status, out, err = code(CYCLES)
    assert (status, out) == (0, "")
    version = ".".join(map(str, sys.version_info[:3]))
    assert re.match(
        rf"wrasse [\d.]+: memory of this run \(CPython {version}\S*, garbage collector: wrasse\)\n",
        err,
    )
    for name in (
        "peak memory",
        "Python's objects",
        "collections",
        "objects freed",
        "pauses",
        "found in cycles",
    ):
        assert len(re.findall(rf"^  {name} ", err, re.MULTILINE)) == 1
    found = re.search(r"found in cycles +(.*)", err)
    assert found is not None and "1,000 __main__.Node" in found[1]
    assert "traced memory" not in err
    assert max(map(len, err.splitlines())) < 160


def test_json_has_the_documented_form(tmp_path: Path) -> None:
    summary = as_json(CYCLES, tmp_path)
    assert set(summary) == {
        "schema",
        "wrasse",
        "python",
        "wall_seconds",
        "peak_rss_bytes",
        "collector",
        "allocator",
        "trace",
    }
    allocator = summary["allocator"]
    assert set(allocator) == {"peak_bytes", "given_back_bytes", "limit_bytes", "refused"}
    assert 1 << 20 < allocator["peak_bytes"] < summary["peak_rss_bytes"]
    assert (allocator["limit_bytes"], allocator["refused"]) == (None, 0)
    assert summary["schema"] == 1 and summary["trace"] is None
    assert 4 << 20 < summary["peak_rss_bytes"] < 200 << 20
    assert 0 < summary["wall_seconds"] < 60
    collector = summary["collector"]
    assert set(collector) == {
        "generations",
        "total_pause_seconds",
        "longest_pause_seconds",
        "cycle_types",
    }
    generations = collector["generations"]
    assert len(generations) == 3
    assert all(
        set(each) == {"collections", "collected", "uncollectable", "seconds"}
        for each in generations
    )
    assert generations[2]["collections"] >= 2
    # 1,000 instances; before 3.13 each with its dict.
    assert sum(each["collected"] for each in generations) >= 1000
    assert (
        0
        < collector["longest_pause_seconds"]
        <= collector["total_pause_seconds"]
        < summary["wall_seconds"]
    )
    types = {each["type"]: each["objects"] for each in collector["cycle_types"]}
    assert types["__main__.Node"] == 1000


def test_json_agrees_with_what_the_program_saw(tmp_path: Path) -> None:
    look = "import gc, json; print(json.dumps(gc.get_stats()))\n"
    file = tmp_path / "summary.json"
    status, out, _ = code(look + CYCLES + look, "--json", str(file))
    assert status == 0
    first, last = (json.loads(line) for line in out.splitlines())
    told = json.loads(file.read_text())["collector"]["generations"]
    for before, after, all_of_it in zip(first, last, told, strict=True):
        for key in ("collections", "collected"):
            # More, for the start and the end of the interpreter count too.
            assert 0 <= after[key] - before[key] <= all_of_it[key]


def test_peak_memory_is_the_programs(tmp_path: Path) -> None:
    small = as_json("pass", tmp_path)["peak_rss_bytes"]
    large = as_json("b = bytearray(b'x') * (64 << 20); del b", tmp_path)["peak_rss_bytes"]
    assert 60 << 20 < large - small < 80 << 20


def test_quiet_is_silent() -> None:
    assert code(CYCLES, "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('stop')", 1),
        ("1/0", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            0,
        ),
        ("import threading, time; threading.Thread(target=time.sleep, args=(0.2,)).start()", 0),
        ("import atexit; atexit._clear()", 0),
        ("import atexit; atexit.register(lambda: 1/0)", 0),
        ("import gc; gc.disable(); gc.set_threshold(0); gc.callbacks.clear()", 0),
        ("import os; os.environ.clear()", 0),
        ("import os; os.chdir('/')", 0),
        ("import sys; sys.stderr = None", 0),
        ("import sys; sys.modules.clear()", 0),
        (
            "import signal, os, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); os.kill(os.getpid(), 15)",
            5,
        ),
    ],
)
def test_comes_however_the_program_ends(tmp_path: Path, source: str, status: int) -> None:
    stock = python("-c", source, cwd=tmp_path)
    ours = wrasse("run", "--json", "summary.json", "-c", source, cwd=tmp_path)
    assert stock.code == status
    assert (ours.code, ours.out) == (stock.code, stock.out)
    assert summaries(ours.err) == 1
    told, separator, summary = ours.err.rpartition("wrasse 0")
    assert re.sub("0x[0-9a-f]+", "", told) == re.sub("0x[0-9a-f]+", "", stock.err)
    assert separator and "peak memory" in summary
    assert json.loads((tmp_path / "summary.json").read_text())["schema"] == 1


@pytest.mark.parametrize(
    "end", ["os.abort()", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)"]
)
def test_does_not_come_when_the_process_is_cut_off(tmp_path: Path, end: str) -> None:
    file = tmp_path / "summary.json"
    file.write_text("old")
    status, _, err = code(f"import os; {end}", "--json", str(file))
    assert status != 0 and err == ""
    assert file.read_text() == "old"
    assert names(tmp_path) == ["summary.json"]


def test_comes_before_a_quick_exit(tmp_path: Path) -> None:
    source = """
import os, posix
assert os._exit is posix._exit and os._exit.__module__ == 'posix'
for bad in [(), (1, 2), ('x',), (2 ** 40,)]:
    try:
        os._exit(*bad)
    except (TypeError, OverflowError) as error:
        print(type(error).__name__, error)
    else:
        print('no error')
pid = os.fork()
if pid == 0:
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
os._exit(status=4)
"""
    stock = python("-c", source)
    ours = wrasse("run", "--trace", "--json", str(tmp_path / "summary.json"), "-c", source)
    assert (ours.code, ours.out) == (stock.code, stock.out) and stock.code == 4
    assert summaries(ours.err) == 1 and "largest lines" in ours.err
    assert json.loads((tmp_path / "summary.json").read_text())["trace"]["top"]


def test_comes_last() -> None:
    source = (
        "import atexit, sys\n"
        "class Late:\n"
        "    def __del__(self): print('finalizer', file=sys.stderr)\n"
        "import builtins; builtins.late = Late()\n"
        "atexit.register(lambda: print('atexit', file=sys.stderr))\n"
    )
    _, _, err = code(source)
    assert err.startswith("atexit\nfinalizer\nwrasse ")


@pytest.mark.parametrize(
    "source",
    [
        "import os, sys\nif os.fork() == 0: sys.exit(0)\nos.wait()",
        "import os, sys\nif os.fork() == 0: os.execv(sys.executable, [sys.executable, '-c', 'pass'])\nos.wait()",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import gc; gc.collect()'], check=True)",
        "import multiprocessing as m\nif __name__ == '__main__':\n    for how in ('fork', 'spawn'):\n"
        "        p = m.get_context(how).Process(target=print); p.start(); p.join(); assert p.exitcode == 0",
        "import os, sys\nif 'AGAIN' not in os.environ:\n"
        "    os.environ['AGAIN'] = '1'; os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])",
    ],
    ids=["fork", "fork-exec", "subprocess", "multiprocessing", "exec"],
)
def test_comes_once_for_a_tree_of_processes(tmp_path: Path, source: str) -> None:
    (tmp_path / "tree.py").write_text(source)
    result = wrasse("run", "tree.py", cwd=tmp_path)
    assert result.code == 0
    assert summaries(result.err) == 1


def test_children_run_on_wrasse_too() -> None:
    child = "import wrasse; print(wrasse.status())"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])\n{child}"
    status, out, _ = code(parent)
    one, other = out.splitlines()
    assert status == 0 and one == other


def test_trace_names_the_lines_that_hold_memory(tmp_path: Path) -> None:
    source = "keep = []\n\nfor _ in range(50):\n    keep.append(bytearray(100_000))\ngone = bytearray(20_000_000)\ndel gone\n"
    (tmp_path / "holds.py").write_text(source)
    result = wrasse("run", "--trace", "--json", "summary.json", "holds.py", cwd=tmp_path)
    assert result.code == 0
    trace = json.loads((tmp_path / "summary.json").read_text())["trace"]
    assert set(trace) == {"current_bytes", "peak_bytes", "top", "tracebacks"}
    assert trace["tracebacks"] == []
    assert 5_000_000 <= trace["current_bytes"] < 10_000_000
    assert 25_000_000 <= trace["peak_bytes"] < 30_000_000
    top = trace["top"]
    assert 0 < len(top) <= 5
    assert [each["bytes"] for each in top] == sorted((each["bytes"] for each in top), reverse=True)
    first = top[0]
    assert (Path(first["file"]).name, first["line"]) == ("holds.py", 4)
    assert 5_000_000 <= first["bytes"] < 5_100_000 and first["blocks"] >= 50
    text = re.search(
        r"traced memory .*\n  largest lines .*\n +4\.8 MiB in +\S+ blocks +\S*holds\.py:4\n",
        result.err,
    )
    assert text is not None, result.err


def test_trace_of_several_frames_names_the_callers(tmp_path: Path) -> None:
    source = "def make():\n    return bytearray(3_000_000)\n\ndef use():\n    return make()\n\nkept = use()\n"
    (tmp_path / "calls.py").write_text(source)
    result = wrasse("run", "--trace=3", "--json", "summary.json", "calls.py", cwd=tmp_path)
    assert result.code == 0
    largest = json.loads((tmp_path / "summary.json").read_text())["trace"]["tracebacks"][0]
    assert 3_000_000 <= largest["bytes"] < 3_000_100 and largest["blocks"] in (1, 2)
    assert [(Path(each["file"]).name, each["line"]) for each in largest["frames"]] == [
        ("calls.py", 2),
        ("calls.py", 5),
        ("calls.py", 7),
    ]
    assert re.search(
        r"\n  largest tracebacks .*\n +2\.9 MiB in +\S+ blocks?  +\S*calls\.py:2\n"
        r" +\S*calls\.py:5\n +\S*calls\.py:7\n",
        result.err,
    )


def test_traced_program_still_owns_tracemalloc() -> None:
    source = (
        "import tracemalloc as t\nassert not t.is_tracing() and t.get_traced_memory() == (0, 0)\n"
        "t.start(3); x = bytearray(1000); assert t.get_object_traceback(x); t.stop(); assert not t.is_tracing()\n"
    )
    status, _, err = code(source, "--trace=2")
    assert status == 0, err
    assert "traced memory" in err


def test_json_path_is_the_one_given_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    status, _, _ = code(
        "import os; os.chdir('other')", "--quiet", "--json", "summary.json", cwd=tmp_path
    )
    assert status == 0
    assert names(tmp_path) == ["other", "summary.json"] and names(tmp_path / "other") == []


def test_json_path_may_hold_any_byte(tmp_path: Path) -> None:
    name = os.fsdecode(b"a;b; \xff.json")
    assert wrasse("run", "--quiet", f"--json={name}", "-c", "pass", cwd=tmp_path).code == 0
    assert json.loads((tmp_path / name).read_text())["schema"] == 1


def test_json_that_cannot_be_written_in_the_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    status, _, err = code(
        "import os; os.rmdir('gone')", "--quiet", "--json", "gone/x.json", cwd=tmp_path
    )
    assert status == 0
    assert err == f"wrasse: cannot write {tmp_path}/gone/x.json: No such file or directory\n"


def test_json_to_a_device_goes_through_it() -> None:
    status, out, err = code("print('mine')", "--quiet", "--json", "/dev/stdout")
    assert (status, err) == (0, "")
    mine, _, summary = out.partition("\n")
    assert mine == "mine" and json.loads(summary)["schema"] == 1


def test_closed_standard_error_does_not_change_the_exit_code() -> None:
    source = "import signal, sys; signal.signal(signal.SIGPIPE, signal.SIG_DFL); print('ok', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-m", "wrasse", "run", "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin and process.stdout and process.stderr
    assert process.stdout.readline() == b"ok\n"
    process.stderr.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_closed_standard_error_is_not_somebody_elses_file(tmp_path: Path) -> None:
    source = "f = open('mine', 'w'); f.write(str(f.fileno())); f.flush(); import os; os.dup2(f.fileno(), 2)"
    command = f'{sys.executable} -m wrasse run -c "{source}" 2>&-'
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment())
    assert done.returncode == 0
    assert (tmp_path / "mine").read_text() == "2"


def test_plain_python_prints_nothing() -> None:
    result = python("-c", "pass", WRASSE="gc,tracemalloc")
    assert (result.code, result.err) == (0, "")

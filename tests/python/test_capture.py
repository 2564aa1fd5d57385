"""``wrasse run -o FILE``: the file holds what happened, however the program ended."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import Result, environment, python, wrasse

GROW = """
import os, signal, sys, time
keep = []
def leaf(count):
    return [object() for _ in range(count)]
def grow():
    for _ in range(20):
        keep.append(leaf(1000))
grow()
spike = [bytes(10_000) for _ in range(2000)]
time.sleep(0.3)
leaf(20_000)
del spike
for _ in range(20):
    time.sleep(0.01)
    leaf(20_000)
"""
LEAF = 5


def capture(tmp_path: Path, end: str = "", *options: str) -> tuple[Path, Result]:
    """Run the program above, with ``end`` after it."""
    (tmp_path / "grow.py").write_text(GROW + end)
    file = tmp_path / "run.wrasse"
    result = wrasse("run", "--quiet", "-o", file, *options, "grow.py", "x", cwd=tmp_path)
    return file, result


def stats(file: Path) -> dict:
    result = wrasse("stats", file, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def table(file: Path, *options: str) -> dict:
    result = wrasse("table", file, "--json", *options)
    assert result.code == 0, result.err
    return json.loads(result.out)


def line_bytes(file: Path, line: int, measure: str) -> int:
    rows = table(file, "--measure", measure, "-n", "1000")["rows"]
    found = [
        row["bytes"]
        for row in rows
        if row["frames"][0]["file"].endswith("grow.py") and row["frames"][0]["line"] == line
    ]
    return sum(found)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file, result = capture(tmp_path_factory.mktemp("capture"))
    assert (result.code, result.out, result.err) == (0, "", "")
    return file


def test_a_finished_run(finished: Path) -> None:
    found = stats(finished)
    assert found["ending"] == "finished"
    assert found["command"][1:] == ["grow.py", "x"]
    assert found["host"] == "CPython " + sys.version.split()[0]
    assert found["frames"] == 25
    times = [point["seconds"] for point in found["timeline"]]
    assert times == sorted(times) and times[-1] <= found["seconds"]
    assert all(point["resident_bytes"] > 0 for point in found["timeline"])
    assert found["sampled_peak_bytes"] <= found["peak_bytes"]
    assert max(p["live_bytes"] for p in found["timeline"]) == found["sampled_peak_bytes"]


def test_the_peak_is_told_apart_from_the_end(finished: Path) -> None:
    assert stats(finished)["sampled_peak_bytes"] > 19_000_000
    assert line_bytes(finished, 10, "peak") > 19_000_000
    # The list itself waits to be used again.
    assert line_bytes(finished, 10, "end") < 100
    kept = 20 * 1000 * object().__sizeof__()
    assert kept <= line_bytes(finished, LEAF, "end") < kept * 1.8


def test_what_was_allocated_and_freed_is_counted(finished: Path) -> None:
    found = stats(finished)
    # The program's last loop alone, whose objects never lived together.
    churn = 20 * 20_000 * object().__sizeof__()
    assert line_bytes(finished, LEAF, "allocated") > churn > 10 * line_bytes(finished, LEAF, "end")
    assert found["allocated_bytes"] > churn + 20_000_000
    so_far = [point["allocated_bytes"] for point in found["timeline"]]
    assert so_far == sorted(so_far)


THREADS = """
import threading

def make():
    global keep
    keep = bytearray(3_000_000)
    for _ in range(5000):
        bytes(2000)

work = threading.Thread(target=make, name="w\u00f6rker")
work.start()
work.join()
gone = [bytes(1000) for _ in range(9000)]
del gone
"""


def threads(tmp_path: Path) -> Path:
    """A capture of the program above."""
    (tmp_path / "threads.py").write_text(THREADS)
    file = tmp_path / "run.wrasse"
    result = wrasse("run", "--quiet", "-o", file, "threads.py", cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    return file


def test_what_does_not_live_long_is_told_line_by_line(tmp_path: Path) -> None:
    file = threads(tmp_path)
    found = stats(file)
    assert 10_000_000 < found["temporary_bytes"] < found["allocated_bytes"]
    rows = table(file, "--sort", "temporary")
    first = rows["rows"][0]
    # The other thread may allocate in between now and then.
    assert first["frames"][0]["line"] == 8 and 4900 < first["blocks"] <= 5000
    assert 9_000_000 < first["bytes"] < 5000 * 2100
    assert first["bytes_per_second"] == pytest.approx(first["bytes"] / rows["seconds"])
    assert "bytes_per_second" not in table(file, "--at", "peak")["rows"][0]
    text = wrasse("table", file, "--measure", "temporary").out
    assert "per second" in text, text


def test_the_peak_is_exact_however_short(tmp_path: Path) -> None:
    file = threads(tmp_path)
    found, rows = stats(file), table(file)
    assert rows["total_bytes"] == found["peak_bytes"] >= found["sampled_peak_bytes"]
    (gone,) = (row for row in rows["rows"] if row["frames"][0]["line"] == 13)
    # Besides the blocks, the list, its items, the last number, and before 3.12 a function.
    assert 9001 <= gone["blocks"] <= 9005 and gone["bytes"] > 9000 * 1033


def test_each_thread_has_its_figures(tmp_path: Path) -> None:
    file = threads(tmp_path)
    found = stats(file)
    main, work = found["threads"]
    assert (main["name"], main["number"]) == ("MainThread", found["process"])
    assert work["allocated_bytes"] > 13_000_000 > work["temporary_bytes"] > 10_000_000
    assert work["live_bytes"] >= 3_000_000 and work["peak_bytes"] >= 3_000_000
    assert main["allocated_bytes"] > main["peak_bytes"] > 9_000_000 > main["live_bytes"]
    for key in "live", "allocated", "temporary":
        whole = found["end_bytes"] if key == "live" else found[f"{key}_bytes"]
        assert main[f"{key}_bytes"] + work[f"{key}_bytes"] == whole
    assert main["peak_bytes"] + work["peak_bytes"] == found["peak_bytes"]
    assert "MainThread: " in wrasse("stats", file).out


def test_tracebacks_reach_the_caller(finished: Path) -> None:
    rows = table(finished, "--measure", "end", "--by", "traceback", "-n", "1")["rows"]
    lines = [frame["line"] for frame in rows[0]["frames"]]
    # Before 3.12 a comprehension has a frame of its own.
    assert [line for at, line in enumerate(lines) if at == 0 or lines[at - 1] != line] == [5, 8, 9]
    once = table(finished, "--measure", "end", "--cumulative", "-n", "1000")["rows"]
    assert {row["frames"][0]["line"] for row in once} >= {5, 8, 9}


def test_frames_are_as_many_as_asked_for(tmp_path: Path) -> None:
    file, _ = capture(tmp_path, "", "--trace=2")
    assert stats(file)["frames"] == 2
    rows = table(file, "--by", "traceback")["rows"]
    assert max(len(row["frames"]) for row in rows) == 2


@pytest.mark.parametrize(
    ("end", "code", "ending"),
    [
        ("sys.exit(3)", 3, "finished"),
        ("raise ValueError", 1, "finished"),
        ("os._exit(4)", 4, "finished"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -signal.SIGTERM, "signal 15"),
        ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(9)", -signal.SIGHUP, "signal 1"),
        ("os.abort()", -signal.SIGABRT, "signal 6"),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV, "signal 11"),
        ("os.kill(os.getpid(), signal.SIGSEGV); time.sleep(9)", -signal.SIGSEGV, "signal 11"),
        ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(9)", -signal.SIGKILL, "cut off"),
        (
            "import threading\n"
            "t = threading.Thread(target=lambda: signal.raise_signal(signal.SIGABRT))\n"
            "t.start(); t.join(9)",
            -signal.SIGABRT,
            "signal 6",
        ),
        (
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
            "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)",
            7,
            "finished",
        ),
    ],
)
def test_however_it_ends_the_file_can_be_read(
    tmp_path: Path, end: str, code: int, ending: str
) -> None:
    file, result = capture(tmp_path, end)
    assert result.code == code
    found = stats(file)
    assert ending in found["ending"]
    assert found["timeline"]
    assert line_bytes(file, LEAF, "end") >= 20 * 1000 * object().__sizeof__()


def test_a_crash_says_what_it_says_without_a_capture(tmp_path: Path) -> None:
    code = "import faulthandler; faulthandler.enable()\nfaulthandler._sigsegv()"
    stock = python("-c", code)
    file = tmp_path / "run.wrasse"
    ours = wrasse("run", "--quiet", "-o", file, "-c", code)
    assert (ours.code, ours.out) == (stock.code, stock.out) and "Segmentation" in ours.err
    assert "signal 11" in stats(file)["ending"]


def test_a_stack_overflow_is_written_down(tmp_path: Path) -> None:
    code = "import faulthandler; faulthandler._stack_overflow()"
    file = tmp_path / "run.wrasse"
    assert wrasse("run", "--quiet", "-o", file, "-c", code).code == -signal.SIGSEGV
    assert "signal 11" in stats(file)["ending"]


def test_the_program_finds_its_signals_as_always(tmp_path: Path) -> None:
    code = (
        "import signal; print([(s, signal.getsignal(s)) for s in signal.valid_signals()],"
        " signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    )
    ours = wrasse("run", "--quiet", "-o", tmp_path / "run.wrasse", "-c", code)
    assert ours == python("-c", code)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGHUP); print('alive')"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = wrasse("run", "--quiet", "-o", tmp_path / "run.wrasse", "-c", code)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (result.code, result.out) == (0, "alive\n")


def test_children_do_not_write(tmp_path: Path) -> None:
    end = """
import multiprocessing, subprocess
pid = os.fork()
if pid == 0:
    leaf(200_000)
    os._exit(0)
os.waitpid(pid, 0)
pid = os.fork()
if pid == 0:
    leaf(200_000)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(9)
assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM
subprocess.run([sys.executable, "-c", "x = [object() for _ in range(200_000)]"], check=True)
leaf(20_000)
"""
    file, result = capture(tmp_path, end)
    assert (result.code, result.err) == (0, "")
    assert stats(file)["ending"] == "finished"
    assert list(tmp_path.glob("*.wrasse")) == [file]


def test_a_program_that_closes_all_descriptors(tmp_path: Path) -> None:
    end = """
os.closerange(3, 5000)
mine = [os.open("mine.%d" % number, os.O_CREAT | os.O_RDWR) for number in range(300)]
for _ in range(20):
    time.sleep(0.01)
    leaf(20_000)
assert all(os.fstat(each).st_size == 0 for each in mine)
"""
    file, result = capture(tmp_path, end)
    assert (result.code, result.err) == (0, "")
    assert stats(file)["ending"] == "finished"


def test_a_full_disk_costs_the_capture_not_the_program(tmp_path: Path) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
{GROW}
print("done")
"""
    file = tmp_path / "run.wrasse"
    result = wrasse("run", "--quiet", "-o", file, "-c", code)
    assert (result.code, result.out) == (0, "done\n")
    assert result.err.count("\n") == 1 and "capture ends early" in result.err
    assert "cut off" in stats(file)["ending"]


def test_the_program_sees_no_other_thread(tmp_path: Path) -> None:
    code = "import os; print(len(os.listdir('/proc/self/task')))"
    result = wrasse("run", "--quiet", "-o", tmp_path / "run.wrasse", "-c", code)
    assert result.out == "1\n"


def test_threads_and_collections(tmp_path: Path) -> None:
    end = """
import gc, threading
def work():
    for _ in range(50):
        leaf(5000)
        node = []; node.append(node); del node
threads = [threading.Thread(target=work) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
gc.collect()
"""
    file, result = capture(tmp_path, end)
    assert result.code == 0
    pauses = stats(file)["pauses"]
    assert pauses["count"] >= 1 and pauses["collected"] >= 200
    assert 0 < pauses["longest_seconds"] <= pauses["total_seconds"]


def test_the_collection_when_python_goes_down_does_not_change_the_end(tmp_path: Path) -> None:
    # A sample would be due after it: its cycle is large, and takes its time.
    end = """
import gc
class Node:
    def __del__(self, sleep=time.sleep):
        sleep(1)
gc.disable()
node = Node()
node.itself, node.kept = node, bytearray(30_000_000)
del node
gc.enable()
gc.set_threshold(10**9)
"""
    summary = tmp_path / "summary.json"
    file, result = capture(tmp_path, end, f"--json={summary}")
    assert (result.code, result.err) == (0, "")
    live = json.loads(summary.read_text())["trace"]["current_bytes"]
    found = stats(file)
    assert found["end_bytes"] == live > 30_000_000
    # The collection itself is in the file.
    assert found["pauses"]["longest_seconds"] >= 1


def test_a_sample_after_a_collection_leaves_errno_alone(tmp_path: Path) -> None:
    # With its file closed, the sample meets an error.
    end = """
import ctypes, gc
gc.disable()
location = ctypes.CDLL(None).__errno_location
location.restype = ctypes.POINTER(ctypes.c_int)
errno = location()
for _ in range(10):
    time.sleep(0.1)
    os.closerange(3, 5000)
    errno[0] = 77
    gc.collect()
    assert errno[0] == 77, errno[0]
"""
    file, result = capture(tmp_path, end)
    assert (result.code, result.err) == (0, "")
    assert stats(file)["ending"] == "finished"


# --- Bad input ----------------------------------------------------------------------------------


def refused(*arguments: object) -> str:
    """The one line that a command refuses with."""
    result = wrasse(*(os.fspath(each) for each in arguments))
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("wrasse: ") and result.err.count("\n") == 1
    return result.err


def test_captures_that_cannot_be_written(tmp_path: Path) -> None:
    assert "No such file" in refused("run", "-o", tmp_path / "none" / "x", "-c", "")
    assert "directory" in refused("run", "-o", tmp_path, "-c", "")
    os.mkfifo(tmp_path / "pipe")
    assert "plain file" in refused("run", "-o", tmp_path / "pipe", "-c", "")


def test_files_that_are_no_captures(tmp_path: Path, finished: Path) -> None:
    data = finished.read_bytes()
    file = tmp_path / "file"
    assert "No such file" in refused("stats", file)
    assert "directory" in refused("table", tmp_path)
    for content, word in [
        (b"", "nothing in it"),
        (b"text", "not a capture"),
        (data[:30], "nothing in it"),
        (data[:-40] + b"\0" * 40, "damaged"),
    ]:
        file.write_bytes(content)
        for command in (["stats"], ["table"], ["diff", finished], ["export", "--format", "csv"]):
            assert word in refused(*command, file)
    head = bytearray(data)
    head[100] ^= 1
    file.write_bytes(head)
    assert "damaged" in refused("stats", file)


def test_a_file_that_is_cut_off_anywhere(tmp_path: Path, finished: Path) -> None:
    data = finished.read_bytes()
    first = next(at for at in range(len(data)) if readable(tmp_path, data[:at]))
    for at in range(first, len(data), max(1, len(data) // 25)):
        assert readable(tmp_path, data[:at])


def readable(tmp_path: Path, data: bytes) -> bool:
    file = tmp_path / "cut"
    file.write_bytes(data)
    from wrasse import Snapshot

    try:
        Snapshot.load(file)
    except ValueError as error:
        assert "nothing in it" in str(error)
        return False
    return True


def test_wrong_words(finished: Path) -> None:
    assert "--format" in refused("export", finished)
    assert "pprof, speedscope" in refused("export", finished, "--format", "xml")
    assert "collapsed" in refused("export", finished, "--format", "csv", "--measure", "end")
    assert "--cumulative" in refused("table", finished, "--by", "traceback", "--cumulative")
    assert "cannot write" in refused(
        "export", finished, "--format", "csv", "-o", finished.parent / "none" / "x"
    )


def test_a_reader_that_has_seen_enough(finished: Path) -> None:
    for command in (
        ["table", str(finished)],
        ["stats", str(finished), "--json"],
        ["export", str(finished), "--format", "csv"],
        ["export", str(finished), "--format", "pprof"],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "wrasse", *command],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


# --- Other formats ------------------------------------------------------------------------------


def exported(file: Path, form: str, *options: str) -> bytes:
    target = file.with_suffix("." + form)
    result = wrasse("export", file, "--format", form, "-o", target, *options)
    assert (result.code, result.out, result.err) == (0, "", "")
    return target.read_bytes()


def test_the_formats_agree(finished: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(exported(finished, "csv").decode())))
    peak = sum(int(row["peak_bytes"]) for row in rows)
    end = sum(int(row["end_bytes"]) for row in rows)
    found = stats(finished)
    assert (peak, end) == (found["peak_bytes"], found["end_bytes"])
    assert {"leaf", "grow"} <= {row["function"].split(".")[0] for row in rows}

    lines = exported(finished, "collapsed").decode().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == peak
    lines = exported(finished, "collapsed", "--measure", "end").decode().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == end

    scope = json.loads(exported(finished, "speedscope"))
    sums = [sum(each["weights"]) for each in scope["profiles"]]
    assert sums == [peak, end, found["allocated_bytes"], found["temporary_bytes"]]
    assert gzip.decompress(exported(finished, "pprof"))


def test_parquet_reads_in_python(finished: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = parquet.read_table(io.BytesIO(exported(finished, "parquet"))).to_pydict()
    assert sum(found["peak_bytes"]) == stats(finished)["peak_bytes"]


def test_two_runs_are_compared(tmp_path: Path, finished: Path) -> None:
    file, _ = capture(tmp_path, "more = [bytes(1000) for _ in range(3000)]\n")
    result = wrasse("diff", finished, file, "--measure", "end", "--json")
    assert result.code == 0
    first = json.loads(result.out)["rows"][0]
    assert first["frames"][0]["line"] == GROW.count("\n") + 1
    assert 3_000_000 <= first["bytes_more"] < 3_200_000
    text = wrasse("diff", finished, finished)
    assert text.out.splitlines()[-1] == "no difference"

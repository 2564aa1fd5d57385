"""The line that ``wrasse run --gc-log`` writes for each collection."""

import os
import re

import command

LINE = re.compile(
    r"wrasse gc (\d+): generation ([012]), (\w+): (\d+) looked at, (\d+) freed"
    r"(?:, (\d+) uncollectable)?, [\d.]+ (?:B|KiB|MiB), [\d.]+ ms, [\d.]+ % of the time"
)

PROGRAM = """
import gc, os, subprocess, sys
gc.disable()
cycles = [[] for _ in range(1000)]
for cycle in cycles: cycle.append(cycle)
del cycle, cycles
print("parent", os.getpid(), gc.collect(1), flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, "-c", sys.argv[0] and open(sys.argv[0]).read(), "child"])
    pid = os.fork()
    if pid == 0:
        print("fork", os.getpid(), gc.collect(0), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def lines(text):
    return [line for line in text.splitlines() if line.startswith("wrasse gc ")]


def test_each_collection_of_each_process_has_its_line(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    result = command.wrasse("run", "--quiet", "--gc-log", script)
    assert result.code == 0, result.err
    matches = [LINE.fullmatch(line) for line in result.err.splitlines()]
    assert all(matches), result.err
    logged = {(match[1], match[2], match[5]) for match in matches if match and match[3] == "asked"}
    said = [line.split() for line in result.out.splitlines()]
    assert len(said) == 3
    for who, process, found in said:
        assert (process, "0" if who == "fork" else "1", found) in logged, result.err


def test_by_the_environment_and_not_unasked():
    code = "import gc; a = []; a.append(a); del a; print(gc.collect())"
    for features in ("gc-log", "gc,gc-log"):
        logged = command.python("-c", code, WRASSE=features)
        assert logged.out == "1\n"
        assert any(" 1 freed, " in line for line in lines(logged.err)), logged.err
    assert command.python("-c", code, WRASSE="gc").err == ""
    assert lines(command.wrasse("run", "--quiet", "-c", code).err) == []


def test_no_line_goes_to_a_file_that_has_the_number_of_a_closed_standard_error(tmp_path):
    target = tmp_path / "file"
    code = f"""
import gc, os
assert os.open({str(target)!r}, os.O_WRONLY | os.O_CREAT) == 2
gc.collect()
"""
    result = os.spawnve(
        os.P_WAIT,
        "/bin/sh",
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', command.sys.executable, code],
        command.environment(WRASSE="gc-log"),
    )
    assert result == 0
    assert target.read_bytes() == b""


def test_a_program_that_closes_standard_error_goes_on():
    code = "import gc, os; os.close(2); gc.collect(); print('there')"
    assert command.python("-c", code, WRASSE="gc-log").out == "there\n"

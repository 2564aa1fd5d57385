"""What lines did to memory, to the byte: ``wrasse lines`` and ``@wrasse.profile``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from command import Result, python, wrasse

# A line's increment and occurrences stand behind it: "#= BYTES xTIMES". A bytes
# object of n takes n + 33.
PROGRAM = """
import asyncio, contextlib, functools, gc, sys, threading, types
gc.disable()
# CPython's cache of attributes keeps the names that were looked up. One that is put out
# by another name, which is a matter of addresses, may have nobody else left and go.
sys._clear_type_cache()
KEPT = [None] * 100
OUTSIDE = []

@profile
def plain():
    a = bytes(1_000_000)  #= 1000033 x1
    b = bytes(200_000)  #= 200033 x1
    del a  #= -1000033 x1
    return b  #= 0 x1

plain()

@profile
def loop():
    kept = None
    for size in (10_000, 30_000, 20_000):
        kept = bytes(size)  #= 20033 x3
    while len(kept) > 1_000:
        kept = bytes(len(kept) // 10)  #= -19800 x2
        continue
    return kept

KEPT[0] = loop()

@profile
def calls():
    KEPT[1] = undecorated(70_000)  #= 70033 x1
    KEPT[2] = callee(30_000)  #= 30033 x1
    return None  #= 0 x1

def undecorated(size):
    return bytes(size)

@profile
def callee(size):
    got = bytes(size)  #= 30033 x1
    return got

# From 3.12 on a code object takes 64 bytes more when it first runs beside sys.monitoring.
undecorated(1)
calls()

@profile
def recursive(n):
    KEPT[10 + n] = bytes(10_000)  #= 30099 x3
    if n:
        recursive(n - 1)  #= 20066 x2
    return n  #= 0 x3

recursive(2)

@profile
def generator():
    try:
        a = bytes(50_000)  #= 100066 x2
        b = yield a  #= 0 x2
        a = None  #= -50033 x1
        yield b  #= 0 x1
    finally:
        KEPT[20] = bytes(4_000)  #= 4033 x2

def consume():
    one = generator()
    first = next(one)
    OUTSIDE.append(bytes(300_000))
    other = generator()
    next(other)
    OUTSIDE.append(bytes(300_000))
    del first
    one.send(bytes(90_000))
    one.close()
    other.close()

consume()

@profile
def delegates():
    yield from inner_generator()  #= 8033 x1

@profile
def inner_generator():
    KEPT[21] = bytes(8_000)  #= 8033 x1
    yield 1

for _ in delegates():
    OUTSIDE.append(bytes(100_000))

@types.coroutine
def pause():
    yield

@profile
async def coroutine():
    a = bytes(40_000)  #= 80066 x2
    await pause()  #= 0 x2
    a = None  #= -80066 x2
    with contextlib.suppress(KeyError):
        await pause()
    KEPT[22] = bytes(2_000)  #= 2033 x2

def interleave():
    pause().close()
    for _ in pause(): pass
    one, two = coroutine(), coroutine()
    one.send(None)
    two.send(None)
    OUTSIDE.append(bytes(500_000))
    one.send(None)
    two.send(None)
    for each in one, two:
        try:
            each.throw(KeyError)
        except StopIteration:
            pass

interleave()

@profile
async def asynchronous():
    a = bytes(15_000)  #= 15033 x1
    got = yield 1
    a = None  #= -15033 x1
    KEPT[23] = bytes(got)  #= 6033 x1
    try:
        yield 2
    except KeyError:
        pass
    KEPT[24] = bytes(3_000)  #= 3033 x1
    yield 3

async def drive():
    it = asynchronous()
    assert await it.asend(None) == 1
    OUTSIDE.append(bytes(200_000))
    assert await it.asend(6_000) == 2
    assert await it.athrow(KeyError) == 3
    try:
        await it.asend(None)
    except StopAsyncIteration:
        return
    raise AssertionError

asyncio.run(drive())

@profile
def fails():
    local = bytes(60_000)  #= 120066 x2
    raise ValueError

def catches():
    for _ in range(2):
        try:
            fails()
        except ValueError:
            pass
        OUTSIDE.append(bytes(250_000))

catches()

@profile
def catches_inside():
    def inner():
        a = bytes(80_000)  #= 80033 x1
        raise KeyError
    swallow(inner)
    KEPT[30] = bytes(5_000)  #= 5033 x1
    get = lambda size: bytes(size)
    KEPT[31] = get(9_000)  #= 9033 x1
    any(KEPT.__setitem__(40 + i, bytes(7_000)) for i in range(3))  #= 21099 x1
    KEPT[32] = len([bytes(100) for i in range(10)])  #= 0 x1

def swallow(function):
    try:
        function()
    except KeyError:
        OUTSIDE.append(bytes(400_000))
        OUTSIDE.pop()

[bytes(100) for i in range(10)]
catches_inside()

def decorator(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper

class Thing:
    @profile
    def method(self):
        KEPT[50] = bytes(11_000)  #= 11033 x1

    @profile
    @classmethod
    def of_class(cls):
        assert cls is Thing
        KEPT[51] = bytes(12_000)  #= 12033 x1

    @staticmethod
    @profile
    def static():
        KEPT[52] = bytes(13_000)  #= 13033 x1

    @profile
    @decorator
    def decorated(self):
        KEPT[53] = bytes(14_000)  #= 14033 x1

    @profile
    @functools.lru_cache
    def cached(self):
        KEPT[54] = bytes(16_000)  #= 16033 x1

    @property
    @profile
    def value(self):
        KEPT[55] = bytes(17_000)  #= 17033 x1

thing = Thing()
thing.method(); Thing.of_class(); thing.static(); thing.decorated(); thing.cached(); thing.cached(); thing.value

@profile
def in_thread(place):
    KEPT[place] = bytes(21_000)  #= 42066 x2
    assert isinstance(KEPT[place], bytes)  #= 0 x2

# What other threads do counts too, and this one has a way to go from start() to join().
interval = sys.getswitchinterval()
sys.setswitchinterval(1000)
for place in 60, 61:
    thread = threading.Thread(target=in_thread, args=(place,))
    thread.start()
    thread.join()
sys.setswitchinterval(interval)

@profile
def long():
    LONG
    return None  #= 0 x1

long()
""".replace("    LONG\n", "    x = (1, 2, KEPT[0], KEPT[1], KEPT[2])[3]\n" * 60)


SMALL_TABLE = 256


def measured(result: Result) -> dict[int, tuple[int, int]]:
    """Increment and occurrences of all lines."""
    assert result.code == 0, result.err
    functions = json.loads(result.out)["functions"]
    lines = [line for function in functions for line in function["lines"]]
    ran = [line for line in lines if line["occurrences"]]
    assert len({line["line"] for line in ran}) == len(ran)
    return {line["line"]: (line["increment_bytes"], line["occurrences"]) for line in ran}


def check(program: Path, found: dict[int, tuple[int, int]]) -> int:
    """Compare with what stands behind the lines; how many there are."""
    expected = {}
    for number, text in enumerate(program.read_text().splitlines(), 1):
        if match := re.search(r"#= (-?\d+) x(\d+)", text):
            expected[number] = (int(match[1]), int(match[2]))
    if sys.version_info < (3, 12):
        # The first time that CPython traces a code object it makes a table of its lines.
        for line, (increment, _) in expected.items():
            if 0 <= found[line][0] - increment <= SMALL_TABLE:
                found[line] = (increment, found[line][1])
    assert {line: found.get(line) for line in expected} == expected
    return len(expected)


@pytest.mark.parametrize("above", [0, 700])
@pytest.mark.parametrize("value", ["", "gc,trace=3"])
def test_every_byte_is_charged_to_its_line(tmp_path: Path, above: int, value: str) -> None:
    program = tmp_path / "program.py"
    # CPython makes the numbers of later lines, and of later instructions, anew for each event.
    program.write_text("\n" * above + PROGRAM)
    found = measured(wrasse("lines", "--json", program, WRASSE=value))
    assert check(program, found) > 40


def test_without_the_allocator(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    found = measured(wrasse("lines", "--json", program, PYTHONMALLOC="malloc"))
    assert check(program, found) > 40


CALLS = '''
import io, sys, wrasse
out = io.StringIO()

@wrasse.profile(stream=out, precision=1)
def work(depth):
    """Its words."""
    a = bytes(2 << 20)
    if depth:
        work(0)

    # a remark
    return (
        a
    )

@wrasse.profile
def shown():
    return 1

before = wrasse.status()["profile"]
work(1)
print(out.getvalue(), end="")
assert work.__doc__ == "Its words." and work.__name__ == "work"
shown()
shown()
try:
    wrasse.profile(len)
except TypeError as error:
    print(error)
print(before, wrasse.status()["profile"])
'''


def test_the_decorator_prints_a_table_after_each_call(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CALLS)
    result = python(program)
    assert result.err == ""
    work, *shown, rest = result.out.split("\n\n\n")
    assert (
        work
        == f"""Filename: {program}

Line #    Mem usage    Increment  Occurrences   Line Contents
=============================================================
     5      2.0 MiB      0.0 MiB            2   @wrasse.profile(stream=out, precision=1)
     6                                          def work(depth):
     7                                              \"\"\"Its words.\"\"\"
     8      4.0 MiB      4.0 MiB            2       a = bytes(2 << 20)
     9      4.0 MiB      0.0 MiB            2       if depth:
    10      2.0 MiB      0.0 MiB            1           work(0)
    11
    12                                              # a remark
    13      4.0 MiB      0.0 MiB            2       return (
    14      4.0 MiB      0.0 MiB            2           a
    15                                              )"""
    )
    assert len(shown) == 2
    assert all("    19    0.000 MiB    0.000 MiB            1       return 1" in s for s in shown)
    assert rest == (
        "profile takes a function written in Python, not 'builtin_function_or_method'\noff off\n"
    )


def test_a_profile_that_was_on_stays_on() -> None:
    code = (
        "import wrasse, io\n"
        "@wrasse.profile(stream=io.StringIO())\ndef f(): wrasse.install('trace')\n"
        "f()\nprint(wrasse.status()['profile'])"
    )
    assert python("-c", code).out == "on\n"
    assert python("-c", code.replace("wrasse.install", "print"), WRASSE="trace").out.endswith(
        "on\n"
    )
    assert python("-c", code.replace("wrasse.install", "print")).out.endswith("off\n")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring")
def test_other_code_has_no_events_and_the_function_stays_itself() -> None:
    code = (
        "import sys, wrasse\n"
        "def f(): pass\ndef g(): pass\nassert wrasse.profile(f) is f\n"
        "m = sys.monitoring\ntool = next(i for i in range(6) if m.get_tool(i) == 'wrasse')\n"
        "print(m.get_local_events(tool, g.__code__), m.get_events(tool) == m.events.PY_UNWIND)\n"
        "print(m.get_local_events(tool, f.__code__) & m.events.LINE != 0)"
    )
    assert python("-c", code).out == "0 True\nTrue\n"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tools do not meet from 3.12 on")
def test_a_debugger_keeps_the_trace_function() -> None:
    code = (
        "import sys, wrasse\nseen = []\ndef debug(*a): seen.append(a[1])\n"
        "@wrasse.profile\ndef f(): return 1\n"
        "sys.settrace(debug)\nf()\nprint(sys.gettrace() is debug, len(seen) > 0)"
    )
    result = python("-c", code)
    assert result.out == "True True\n" and "lines are not measured" in result.err


def test_a_broken_stream_does_not_break_the_program() -> None:
    code = (
        "import wrasse\nclass Broken:\n    def write(self, text): raise RuntimeError('full')\n"
        "@wrasse.profile(stream=Broken())\ndef f(): return 7\nprint(f())"
    )
    result = python("-c", code)
    assert result.out == "7\n" and "RuntimeError: full" in result.err


def test_many_threads_at_once() -> None:
    code = (
        "import threading\n"
        "@profile\ndef f(n):\n    for i in range(n):\n        x = bytes(i)\n    return x\n"
        "threads = [threading.Thread(target=f, args=(2000,)) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    )
    result = wrasse("lines", "--json", "-c", code)
    assert measured(result)[5][1] == 8000


# --- The command ---------------------------------------------------------------------------------


def test_the_program_sees_what_python_gives_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nprint(sys.argv[1:], __name__, __file__)\nsys.exit(3)")
    result = wrasse("lines", "--precision", "2", "program.py", "--json", "-o", "x", cwd=tmp_path)
    assert result.code == 3
    assert result.out == f"['--json', '-o', 'x'] __main__ {program}\n"
    assert result.err.startswith("wrasse: no lines to show: no function with @profile was called")


def test_children_measure_nothing(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "@profile\ndef f(): pass\nf()\n"
        "print(subprocess.run([sys.executable, '-c', 'print(\"profile\" in dir(__builtins__))'],"
        " capture_output=True, text=True).stdout, flush=True)\n"
        "if os.fork() == 0: sys.exit()\nos.wait()"
    )
    result = wrasse("lines", "-c", code)
    assert result.out.startswith("False\n") and result.out.count("Line #") == 1


def test_tables_of_a_failing_program_are_shown(tmp_path: Path) -> None:
    out = tmp_path / "lines.txt"
    code = "@profile\ndef f():\n    x = bytes(1 << 20)\n    raise SystemExit(5)\nf()"
    result = wrasse("lines", "-o", out, "-c", code)
    assert result == Result(5, "", "")
    assert "    1.000 MiB            1" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to run"),
        (["missing.py"], "no such file: missing.py"),
        (["--precision", "10", "-c", "1"], "10 is not in 0..=9"),
        (["-o", "/nowhere/x", "-c", "1"], "/nowhere"),
        (["--frob", "-c", "1"], "wrasse lines --help"),
    ],
)
def test_misuse_is_one_line(arguments: list[str], words: str) -> None:
    result = wrasse("lines", *arguments)
    assert result.code == 2 and result.out == ""
    assert words in result.err and len(result.err.splitlines()) == 1


def test_the_program_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    result = wrasse("lines", "-o", "a.py", "a.py", cwd=tmp_path)
    assert result.code == 2 and "overwrite" in result.err


def test_a_function_forgotten_in_the_middle_leaves_no_profile_on() -> None:
    code = """
import wrasse
from wrasse import _core, lines
def numbers(count):
    for number in range(count):
        yield [0] * 10
code = lines.watch(numbers, shows_calls=False)
values = numbers(5)
next(values)
_core.lines_forget(code)
print(len(list(values)))
del values
try:
    wrasse.snapshot()
except RuntimeError:
    print("off")
"""
    result = python("-c", code, WRASSE="1")
    assert (result.code, result.out, result.err) == (0, "4\noff\n", "")

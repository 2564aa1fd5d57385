"""``wrasse live``: on a terminal, without one, and what it is pointed at."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command import environment, wrasse

# Seconds until a test gives up on something that should have happened.
PATIENCE = 120

# Works until a file says that it may end.
APP = """
import gc, os, sys, time
print("out of", sys.argv[1:], "input", sys.stdin.read() if "read" in sys.argv else "")
sys.stdout.flush()
print("errors of", os.getpid(), file=sys.stderr)
keep = []
def grow():
    keep.append([object() for _ in range(5000)])
    [].append(bytes(20_000))
try:
    while not os.path.exists("stop"):
        grow()
        for _ in range(500):
            cycle = []
            cycle.append(cycle)
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(5)
print("done")
sys.exit(3)
"""
GROW = 8


class Terminal:
    """A process with a terminal of its own, and all that it has written there."""

    def __init__(self, *arguments: str | Path, cwd: Path, **changes: str) -> None:
        size = struct.pack("HHHH", 24, 80, 0, 0)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        settings = {"TERM": "xterm-256color"} | changes
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wrasse", "live", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=environment(**settings),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.text = ""

    def read(self) -> None:
        ready, _, _ = select.select([self.master], [], [], 0.05)
        if ready:
            with contextlib.suppress(OSError):
                self.text += os.read(self.master, 1 << 16).decode(errors="replace")

    def page(self) -> str:
        """What the view shows: only what has changed is written, where it is to stand."""
        rows = [[" "] * 80 for _ in range(24)]
        row = column = 0
        parts = re.split(r"\x1b\[([0-9;?]*)([A-Za-z])", self.text.rpartition("\x1b[?1049h")[2])
        for at, part in enumerate(parts):
            if at % 3 == 1 and parts[at + 1] == "H":
                row, column = (int(number) - 1 for number in part.split(";"))
            elif at % 3 == 0:
                for letter in part:
                    rows[row][min(column, 79)] = letter
                    column += 1
        return "\n".join("".join(row).rstrip() for row in rows)

    def until_shown(self, part: str) -> str:
        """Wait until the view shows ``part``; what it shows then."""
        self.wait(lambda: part in self.page(), lambda: f"no {part!r} in\n{self.page()}")
        return self.page()

    def until(self, part: str, after: int = 0) -> int:
        """Wait for ``part`` outside the view; where what follows it begins."""
        rest = lambda: f"no {part!r} in {self.text[after:]!r}"  # noqa: E731
        self.wait(lambda: part in self.text[after:], rest)
        return self.text.index(part, after) + len(part)

    def wait(self, is_so: Callable[[], bool], complaint: Callable[[], str]) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            has_hope = self.process.poll() is None or self.pending()
            if not has_hope or time.monotonic() > end:
                pytest.fail(complaint())
            self.read()

    def pending(self) -> bool:
        return bool(select.select([self.master], [], [], 0.2)[0])

    def press(self, keys: str) -> int:
        """Type; where what is written from now on begins."""
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        at = len(self.text)
        os.write(self.master, keys.encode())
        return at

    def end(self) -> int:
        """Wait for the end; the exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"does not end: {self.text!r}"
            self.read()
        while self.pending():
            self.read()
        return self.process.returncode

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


Start = Callable[..., Terminal]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "app.py").write_text(APP)
    yield tmp_path
    # Whatever still runs ends.
    (tmp_path / "stop").touch()


@pytest.fixture
def terminal(app: Path) -> Iterator[Start]:
    started: list[Terminal] = []

    def start(*arguments: str | Path, **changes: str) -> Terminal:
        started.append(Terminal(*arguments, cwd=app, **changes))
        return started[-1]

    yield start
    for each in started:
        each.close()


@contextlib.contextmanager
def captured(app: Path) -> Iterator[subprocess.Popen[str]]:
    """``wrasse run -o run.wrasse app.py``, once its file has begun."""
    command = [sys.executable, "-m", "wrasse", "run", "--quiet", "-o", "run.wrasse", "app.py"]
    silent = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=app, env=environment(), stdout=silent, stderr=silent, text=True
    )
    try:
        end = time.monotonic() + PATIENCE
        file = app / "run.wrasse"
        while not (file.exists() and file.stat().st_size > 2000):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_program_is_run_and_shown(app: Path, terminal: Start) -> None:
    view = terminal("app.py", "--its", "own")
    view.until_shown(f"app.py:{GROW}")
    page = view.until_shown("gen 0")
    assert page.startswith(" wrasse live  app.py --its own")
    for part in ("peak", "resident", "share", "p99", "longest", "main thread", "allocates"):
        assert part in page, page
    assert not view.is_as_before(), "keys come one by one"
    view.press("?")
    page = view.until_shown("freed before the next block")
    assert "p99 " not in page.replace("p50, p99", "")
    view.press("?")
    view.until_shown(f"app.py:{GROW}")
    (app / "stop").touch()
    page = view.until_shown("ended with exit code 3")
    assert view.process.poll() is None, "what it was stays to be looked at"
    assert "out of" not in view.text, "the screen is the view's"
    at = view.press("q")
    assert view.end() == 3
    # All it printed, in its order, and what its memory did.
    after = view.text[at:]
    places = [after.index(part) for part in ("out of", "errors of", "done", "wrasse live: ")]
    assert places == sorted(places)
    assert view.is_as_before()


def test_leaving_the_view_leaves_the_program(app: Path, terminal: Start) -> None:
    view = terminal("app.py", "read")
    view.until_shown(f"app.py:{GROW}")
    at = view.press("q")
    at = view.until("the program goes on", at)
    # The keyboard was not the program's: it has read nothing.
    at = view.until("out of ['read'] input \r\n", at)
    assert view.is_as_before()
    (app / "stop").touch()
    view.until("done", at)
    assert view.end() == 3


def test_ctrl_c_is_for_the_program(app: Path, terminal: Start) -> None:
    view = terminal("app.py")
    view.until_shown(f"app.py:{GROW}")
    view.press("\x03")
    view.until_shown("ended with exit code 5")
    at = view.press("q")
    assert view.end() == 5
    assert "interrupted" in view.text[at:]


def test_a_signal_ends_view_and_program(app: Path, terminal: Start) -> None:
    view = terminal("app.py")
    view.until_shown(f"app.py:{GROW}")
    view.process.terminate()
    assert view.end() == 128 + signal.SIGTERM
    assert "ended by signal 15" in view.text
    assert view.is_as_before()


def test_sorting_standing_still_and_no_colours(app: Path, terminal: Start) -> None:
    view = terminal("app.py", NO_COLOR="1")
    view.until_shown(f"app.py:{GROW}")
    view.press("s")
    view.until_shown("sort: change")
    view.press("j")
    view.press("p")
    view.until_shown("stands still")
    (app / "stop").touch()
    # Also a picture that stands still says that it is over.
    view.until_shown("ended with exit code 3, stands still")
    view.press("q")
    assert view.end() == 3
    colours = re.findall(r"\x1b\[3[0-8][;m]", view.text)
    assert not colours
    assert view.is_as_before()


def test_the_view_follows_the_size_of_the_terminal(app: Path, terminal: Start) -> None:
    view = terminal("app.py")
    view.until_shown(f"app.py:{GROW}")
    at = view.press("")
    fcntl.ioctl(view.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
    # The keys are in the last row, which is the twelfth now.
    view.until("\x1b[12;2H", at)
    (app / "stop").touch()
    view.press("q")
    assert view.end() == 3


def test_what_is_redirected_goes_where_it_was_to_go(app: Path, terminal: Start) -> None:
    view = terminal("--output", "out.txt", "-o", "kept.wrasse", "app.py")
    view.until_shown(f"app.py:{GROW}")
    (app / "stop").touch()
    view.until_shown("exit code 3")
    at = view.press("q")
    view.end()
    assert "out of" not in view.text[at:]
    assert "errors of" in (app / "out.txt").read_text()
    assert wrasse("stats", "kept.wrasse", cwd=app).code == 0


def test_what_is_printed_is_kept_where_standard_output_is_closed(tmp_path: Path) -> None:
    live = [sys.executable, "-m", "wrasse", "live", "--output", "out.txt"]
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-"):
        subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *live, "-c", "print('kept')"],
            cwd=tmp_path,
            env=environment(),
            timeout=PATIENCE,
            check=True,
        )
        assert (tmp_path / "out.txt").read_text() == "kept\n", closed


def test_a_process_is_looked_at_by_its_number(app: Path, terminal: Start) -> None:
    with captured(app) as process:
        view = terminal(str(process.pid))
        view.until_shown(f"app.py:{GROW}")
        at = view.press("q")
        view.until(f"process {process.pid} goes on", at)
        assert view.end() == 0
        assert process.poll() is None
        view = terminal(str(process.pid))
        view.until_shown(f"app.py:{GROW}")
        process.kill()
        process.wait()
        view.until_shown("cut off: killed")
        view.press("\x03")
        assert view.end() == 0


def test_a_file_is_followed(app: Path, terminal: Start) -> None:
    with captured(app) as process:
        view = terminal("run.wrasse")
        view.until_shown(f"app.py:{GROW}")
        (app / "stop").touch()
        view.until_shown(" ended")
        process.wait()
        at = view.press("q")
        assert view.end() == 0
        assert "goes on" not in view.text[at:]


def test_without_a_terminal_there_are_lines(app: Path) -> None:
    command = [sys.executable, "-m", "wrasse", "live", "app.py", "read"]
    process = subprocess.Popen(
        command,
        cwd=app,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stderr
    process.stdin.write("typed")
    process.stdin.close()
    process.stdin = None
    # The view may speak before the program does.
    words = [process.stderr.readline()]
    while not any(line.startswith("errors of") for line in words) or len(words) < 2:
        words.append(process.stderr.readline())
        assert words[-1], words
    (app / "stop").touch()
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert out == "out of ['read'] input typed\ndone\n"
    lines = [*words, *errors.splitlines(keepends=True)]
    lines = [line for line in lines if not line.startswith("errors of")]
    for line in lines:
        assert line.startswith("wrasse live: ") and "peak" in line and "pauses" in line
    assert f"app.py:{GROW}" in lines[-1]
    assert lines[-1].endswith("ended with exit code 3\n")


def test_a_line_can_be_json(app: Path) -> None:
    (app / "stop").touch()
    result = wrasse("live", "--json", "--output", "out.txt", "--limit", "1GiB", "app.py", cwd=app)
    assert (result.code, result.err) == (3, "")
    last = [json.loads(line) for line in result.out.splitlines()][-1]
    assert last["ended"] == "ended with exit code 3"
    assert last["limit_bytes"] == 1 << 30
    assert last["live_bytes"] <= last["peak_bytes"]
    assert set(last["top"][0]) == {
        "file",
        "line",
        "live_bytes",
        "live_blocks",
        "change_bytes",
        "temporary_bytes",
    }
    assert last["pauses"]["generations"]
    assert (app / "out.txt").read_text().startswith("out of")


def test_looking_on_without_a_terminal(app: Path) -> None:
    with captured(app) as process:
        number = str(process.pid)
        command = [sys.executable, "-m", "wrasse", "live", number, "--json"]
        watcher = subprocess.Popen(
            command, cwd=app, env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert watcher.stdout
        first = json.loads(watcher.stdout.readline())
        assert first["process"] == process.pid and first["ended"] is None
        # Nobody reads any more: that is no error, and no reason to go on.
        watcher.stdout.close()
        assert watcher.wait(timeout=PATIENCE) == 0
        (app / "stop").touch()
        process.wait()
        result = wrasse("live", "run.wrasse", cwd=app)
        assert (result.code, result.err) == (0, "")
        assert result.out.count("\n") == 1 and result.out.endswith("ended\n")


def test_an_interrupt_ends_who_looks_on(app: Path) -> None:
    with captured(app) as process:
        command = [sys.executable, "-m", "wrasse", "live", "run.wrasse"]
        watcher = subprocess.Popen(
            command, cwd=app, env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert watcher.stdout
        watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=PATIENCE)
        assert watcher.returncode == 128 + signal.SIGINT
        assert process.poll() is None


def test_what_cannot_be_looked_at(app: Path) -> None:
    (app / "none.wrasse").write_text("no capture\n")
    (app / "empty.wrasse").touch()
    os.utime(app / "empty.wrasse", (1, 1))
    (app / "book.ipynb").write_text("{}")
    own = str(os.getpid())
    for arguments, part in [
        ([], "nothing to look at"),
        (["missing.py"], "no such file: missing.py"),
        (["missing.wrasse"], "cannot read missing.wrasse: No such file"),
        (["none.wrasse"], "not a capture"),
        (["empty.wrasse"], "nothing in it"),
        (["99999999"], "there is no process 99999999"),
        ([own], "writes no capture: start it with 'wrasse run -o FILE PROGRAM'"),
        ([own, "--capture", "missing.wrasse"], "cannot read missing.wrasse"),
        ([own, "--output", "x"], "--output is for a program"),
        ([own, "--nonsense"], "--nonsense"),
        (["--limit", "much", "app.py"], "a size is"),
        (["-o", "/nowhere/x.wrasse", "app.py"], "cannot write /nowhere/x.wrasse"),
        (["-o", "app.py", "app.py"], "-o would overwrite the program"),
        (["--output", "app.py", "./app.py"], "--output would overwrite the program"),
        (["--output", "book.ipynb", "book.ipynb"], "--output would overwrite the program"),
        (["-o", "same", "--output", "same", "app.py"], "name the same file"),
    ]:
        result = wrasse("live", *arguments, cwd=app)
        assert (result.code, result.out) == (2, ""), (arguments, result)
        assert part in result.err and result.err.count("\n") == 1, (arguments, result.err)
    assert not (app / "same").exists()
    assert (app / "app.py").read_text() == APP and (app / "book.ipynb").read_text() == "{}"


def test_a_capture_of_another_process_is_refused(app: Path) -> None:
    with captured(app) as process:
        result = wrasse("live", str(os.getpid()), "--capture", "run.wrasse", cwd=app)
        assert result.code == 2
        assert f"is the capture of process {process.pid}, not of" in result.err

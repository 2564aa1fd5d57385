"""Runs one of CPython's test files in one process and reads what became of each test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from suite import TIMEOUT

Side = Literal["stock", "wrasse"]

# What WRASSE is on each side; children inherit it. `--settings` of compare.py replaces wrasse's.
SWITCH: dict[Side, str | None] = {"stock": None, "wrasse": "gc,alloc,tracemalloc"}

WITNESS = (Path(__file__).parent / "witness.py").read_text(encoding="utf-8")

# unittest's headings of what failed, in the log. They also name what the XML report has no entry
# for: a failing subtest, setUpClass and setUpModule.
HEADING = re.compile(r"^(FAIL|ERROR): (?P<test>\S+) \((?P<id>[^)\s]+)\)", re.MULTILINE)
STARTED = re.compile(r"^(?P<test>\S+) \((?P<id>[\w.]+)\)(?P<rest>.*)$", re.MULTILINE)


@dataclass
class FileResult:
    """One test file, run once on one side."""

    name: str
    side: Side
    seconds: float = 0.0
    # How the process ended: "ok", "failed", "timed out", "killed by SIGSEGV", ...
    outcome: str = "ok"
    # Test id -> "passed", "skipped", "failed", "error", "expected failure".
    tests: dict[str, str] = field(default_factory=dict)
    # regrtest's own remark that the file left the process altered.
    altered: bool = False
    # What witness.py wrote; None when the process did not live to write it.
    witness: dict[str, Any] | None = None
    # The end of the output, when something went wrong.
    tail: str = ""

    def count(self, *statuses: str) -> int:
        """How many tests ended in one of these ways."""
        return sum(status in statuses for status in self.tests.values())

    def save(self, path: Path) -> None:
        """Keeps the result for a later comparison."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> FileResult | None:
        """A result kept earlier, if there is a readable one."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def environment(side: Side, temporary: Path) -> dict[str, str]:
    """The environment of a test process: the caller's, without what would steer Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "WRASSE", "MAKE", "MFLAGS", "VIRTUAL_ENV"))
    }
    kept["TMPDIR"] = str(temporary)
    kept.setdefault("LC_ALL", "C.UTF-8")
    switch = SWITCH[side]
    if switch is not None:
        kept["WRASSE"] = switch
    return kept


def words() -> set[str]:
    """What WRASSE turns on, on the wrasse side."""
    return {word.partition("=")[0] for word in (SWITCH["wrasse"] or "").split(",")}


def parts() -> tuple[str, ...]:
    """What `wrasse.status()` must name as wrasse's on the wrasse side."""
    return tuple(part for part in ("gc", "alloc", "tracemalloc") if part in words())


def is_profiled() -> bool:
    """Whether the wrasse side records its own profile from the start."""
    return "trace" in words()


def default_signals() -> None:
    """Undoes what a background job or nohup left ignored.

    Children inherit ignored signals, and with SIGINT ignored several of CPython's tests fail or hang.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def run_file(python: Path, name: str, side: Side) -> FileResult:
    """Runs the file `name` once and returns what each of its tests did."""
    # Short, because socket names inside it may not exceed about a hundred bytes.
    temporary = Path(tempfile.mkdtemp(prefix="wrasse-"))
    try:
        return _run(python, name, side, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _run(python: Path, name: str, side: Side, temporary: Path) -> FileResult:
    report, xml, log = (temporary / part for part in ("witness.json", "tests.xml", "log"))
    work = temporary / "t"
    work.mkdir()
    command = [str(python), "-c", WITNESS, str(report)]
    command += ["-v", "--timeout", str(TIMEOUT), "--junit-xml", str(xml)]
    command += ["--tempdir", str(work), name]
    result = FileResult(name, side)
    begin = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(side, work),
            cwd=work,
            start_new_session=True,
        )
        try:
            code = process.wait(TIMEOUT + 60)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # Also what the tests left running in this session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    result.seconds = round(time.monotonic() - begin, 1)
    text = log.read_text(encoding="utf-8", errors="replace")
    with contextlib.suppress(OSError, ValueError):
        result.witness = json.loads(report.read_text(encoding="utf-8"))
    result.altered = bool(re.search(r"altered the execution environment", text))
    result.outcome = _outcome(code, text)
    result.tests = _tests(xml, text)
    if result.outcome != "ok":
        result.tail = _telling(text)
    return result


def _outcome(code: int | None, text: str) -> str:
    if code is None or (code == 1 and "Timeout (" in text):
        return "timed out"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    # regrtest's own exit codes; anything else is the process coming to grief after its tests.
    return {0: "ok", 2: "failed", 3: "ok", 4: "no tests ran"}.get(code, f"exit {code}")


def _tests(xml: Path, log: str) -> dict[str, str]:
    """Test id -> status, from the XML report where there is one and from the log where not."""
    tests: dict[str, str] = {}
    try:
        entries = list(_entries(xml))
    except (OSError, ElementTree.ParseError):
        entries = list(_logged(log))
    for test, status in entries:
        name, copies = test, 1
        while name in tests:
            copies += 1
            name = f"{test} ({copies})"
        tests[name] = status
    # Some versions leave tests that a decorator skips out of the report.
    for line in STARTED.finditer(log):
        if "... skipped" in line["rest"]:
            tests.setdefault(line["id"], "skipped")
    for heading in HEADING.finditer(log):
        test = heading["id"]
        if test.rpartition(".")[2] != heading["test"]:
            test = f"{heading['test']} ({test})"
        tests[test] = "failed" if heading[1] == "FAIL" else "error"
    return tests


def _entries(xml: Path) -> Iterator[tuple[str, str]]:
    for case in ElementTree.parse(xml).iter("testcase"):
        name = case.get("name")
        # An entry without a name is a test whose subtests failed: the log's headings name it.
        if name is None:
            continue
        kinds = {child.tag for child in case}
        if "error" in kinds:
            yield name, "error"
        elif "failure" in kinds:
            yield name, "failed"
        elif "skipped" in kinds:
            yield name, "skipped"
        elif "outcome" in kinds:
            yield name, "unexpected success"
        elif "output" in kinds:
            yield name, "expected failure"
        else:
            yield name, "passed"


def _logged(log: str) -> Iterator[tuple[str, str]]:
    """What a log says about a process that died before it wrote the report."""
    for line in STARTED.finditer(log):
        rest = line["rest"]
        if rest.endswith("... ok"):
            yield line["id"], "passed"
        elif "... skipped" in rest:
            yield line["id"], "skipped"
        elif rest.endswith(("... FAIL", "... ERROR")):
            yield line["id"], "failed"
        elif rest.endswith("..."):
            yield line["id"], "not finished"


def _telling(log: str) -> str:
    """The part of a failed run's log worth showing: the first failure reports and the end."""
    start = log.find("\n======================================================================")
    reports = log[start:] if start >= 0 else ""
    if not reports:
        return log[-6000:]
    return reports if len(reports) <= 9000 else f"{reports[:6000]}\n[...]\n{log[-3000:]}"

"""``wrasse run`` gives a program exactly what ``python`` would; bad input gets one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest
from command import both, environment, python, wrasse

SHOW_ARGUMENTS = "import os, sys\nprint([os.fsencode(each) for each in sys.argv])\n"
SHOW_MAIN = """
import os, sys
print(sorted(globals()), __name__, __file__, __package__, __builtins__, type(__loader__))
print(__spec__ and __spec__.name, __doc__)
print(sys.argv, sys.path, sys.flags, sys.executable, sys.prefix, sys.orig_argv, os.getcwd())
print(sys.stdin.isatty(), sys.stdout.encoding, sys.warnoptions, sys._xoptions)
print("atexit" in sys.modules, "json" in sys.modules, "threading" in sys.modules)
"""
ODD_ARGUMENTS = ["--quiet", "--", "", "-m", "-c", "--trace=0", "x y", "-", b"\xff\xfe", "--json"]


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- The program sees what python gives it ------------------------------------------------------


def test_script_gets_its_arguments_untouched(tmp_path: Path) -> None:
    write(tmp_path / "show.py", SHOW_ARGUMENTS)
    result = both("show.py", *ODD_ARGUMENTS, cwd=tmp_path)
    assert r"b'--trace=0', b'x y', b'-', b'\xff\xfe'" in result.out


@pytest.mark.parametrize(
    "how", [["-m", "show"], ["-mshow"], ["-c", SHOW_ARGUMENTS], ["-c" + SHOW_ARGUMENTS]]
)
def test_module_and_code_get_their_arguments_untouched(tmp_path: Path, how: list[str]) -> None:
    write(tmp_path / "show.py", SHOW_ARGUMENTS)
    assert "--quiet" in both(*how, *ODD_ARGUMENTS, cwd=tmp_path).out


@pytest.mark.parametrize("command", ["run", "doctor", "lines"])
def test_no_module_of_the_start_is_in_the_programs_garbage(command: str) -> None:
    code = """
import gc
gc.set_debug(gc.DEBUG_SAVEALL)
gc.collect()
print("found", [each for each in gc.garbage if type(each) is type(gc)])
gc.set_debug(0)
"""
    assert "found []\n" in wrasse(command, "-c", code).out


def test_main_is_the_programs_own(tmp_path: Path) -> None:
    write(tmp_path / "folder" / "main.py", SHOW_MAIN)
    both("folder/main.py", "a", cwd=tmp_path)
    both(tmp_path / "folder" / "main.py", cwd=tmp_path)
    both("-m", "folder.main", cwd=tmp_path)
    both("main.py", cwd=tmp_path / "folder", PYTHONSAFEPATH="1", PYTHONDONTWRITEBYTECODE="1")


def test_script_whose_name_starts_with_a_dash(tmp_path: Path) -> None:
    write(tmp_path / "-odd.py", SHOW_ARGUMENTS)
    result = wrasse("run", "--quiet", "--", "-odd.py", "--", "x", cwd=tmp_path)
    assert (result.code, result.out) == (0, "[b'-odd.py', b'--', b'x']\n")


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    raise ValueError('boom')\nf()\n",
        "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e\n",
        "x = = 1\n",
        "import nosuchmodule\n",
        "import sys\nprint('to err', file=sys.stderr)\nraise KeyboardInterrupt\n",
        "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])\n",
        "class A:\n    def __del__(self): print('late')\na = A()\n1/0\n",
        "import warnings\nwarnings.warn('careful')\n",
    ],
)
def test_errors_read_the_same(tmp_path: Path, source: str) -> None:
    write(tmp_path / "fail.py", source)
    assert both("fail.py", cwd=tmp_path).err
    both("-c", source)
    both("-", stdin=source)
    both("-m", "fail", cwd=tmp_path)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit()", 0),
        ("import sys; sys.exit('a message')", 1),
        ("import sys; sys.exit(-1)", 255),
        ("raise SystemExit(256 + 7)", 7),
        ("1/0", 1),
        ("import os; os._exit(9)", 9),
        ("import atexit, sys; atexit.register(lambda: print('bye')); sys.exit(4)", 4),
        ("import os; os.abort()", -signal.SIGABRT),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_exit_code(source: str, code: int) -> None:
    assert both("-c", source).code == code


def test_standard_input_is_the_programs(tmp_path: Path) -> None:
    write(tmp_path / "read.py", "import sys\nprint(input(), '|', sys.stdin.read(), sys.argv)\n")
    assert both("read.py", "a", cwd=tmp_path, stdin="one\ntwo\nthree").out.startswith(
        "one | two\nthree"
    )
    assert both("-", "x", "-q", stdin="import sys; print(sys.argv)").out == "['-', 'x', '-q']\n"
    assert both("/dev/stdin", stdin="print(__file__)").out == "/dev/stdin\n"


def test_module_forms(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py", "print('package', __name__)\n")
    write(
        tmp_path / "package" / "__main__.py",
        "from . import other\nimport sys\nprint(sys.argv, __package__, __spec__.name)\n",
    )
    write(tmp_path / "package" / "other.py", "print(__name__)\n")
    assert "package.other" in both("-m", "package", "-v", cwd=tmp_path).out
    both("-m", "package.other", cwd=tmp_path)
    both("-m", "nosuchmodule", cwd=tmp_path)
    both("-m", "package.nosuchmodule", cwd=tmp_path)
    assert both("-m", "json.tool", stdin='{"a": 1}').code == 0


def test_folder_and_zip_file(tmp_path: Path) -> None:
    main = write(
        tmp_path / "app" / "__main__.py",
        "import sys, helper\nprint(sys.argv, sys.path[0], __name__, __package__)\n",
    )
    helper = write(tmp_path / "app" / "helper.py", "print('helper')\n")
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.write(main, "__main__.py")
        archive.write(helper, "helper.py")
    assert both("app", "x", cwd=tmp_path).out.startswith("helper\n['app', 'x']")
    assert both("app.pyz", "x", cwd=tmp_path).out.startswith("helper\n['app.pyz', 'x']")


def test_options_of_the_interpreter_are_kept() -> None:
    show = "import sys; print(sys.flags, sys.warnoptions, sys._xoptions, sys.argv)"
    for options in (
        ["-X", "dev", "-W", "error", "-O"],
        ["-bb", "-Wignore", "-Xutf8=1"],
        ["-I"],
        ["-q", "-E"],
    ):
        stock = python(*options, "-c", show, "-W")
        ours = python(*options, "-m", "wrasse", "run", "--quiet", "-c", show, "-W")
        assert ours == stock
    joined = python("-bIm", "wrasse", "run", "--quiet", "-c", show, "-W")
    assert joined == python("-bI", "-c", show, "-W")


# --- Signals --------------------------------------------------------------------------------------


def signalled(arguments: list[str], script: Path, number: signal.Signals) -> tuple[int, str, str]:
    """Run ``script`` and send it ``number`` once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, *arguments, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # A test runner in the background may have it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until_asleep(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out, err


def until_asleep(process: int) -> None:
    """Wait until a process waits for something: the signal is to find it in its last call."""
    for _ in range(6000):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "S":
            return
        time.sleep(0.01)
    raise AssertionError(f"process {process} does not sleep")


@pytest.mark.parametrize(
    ("handler", "number", "code"),
    [
        ("", signal.SIGINT, -signal.SIGINT),
        ("", signal.SIGTERM, -signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))", signal.SIGTERM, 9),
        ("signal.signal(signal.SIGINT, lambda *_: sys.exit('stopped'))", signal.SIGINT, 1),
    ],
)
def test_signals(tmp_path: Path, handler: str, number: signal.Signals, code: int) -> None:
    script = write(
        tmp_path / "wait.py",
        f"import signal, sys, time\n{handler}\nprint('ready', flush=True); time.sleep(300)\n",
    )
    ours = signalled(["-m", "wrasse", "run", "--quiet"], script, number)
    assert ours == signalled([], script, number)
    assert ours[0] == code


@pytest.mark.parametrize("command", ["stats", "doctor"])
def test_what_reads_a_capture_can_be_interrupted(tmp_path: Path, command: str) -> None:
    pipe = tmp_path / "slow.wrasse"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "wrasse", command, str(pipe)],
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        with pipe.open("wb"):  # open as soon as it reads, and nothing comes
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == -signal.SIGINT
    finally:
        process.kill()
        process.wait()


def test_ignored_and_blocked_signals_are_inherited() -> None:
    show = "import signal; print(repr(signal.getsignal(signal.SIGINT)), signal.pthread_sigmask(signal.SIG_BLOCK, []))"

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment(), preexec_fn=prepare
        ).stdout

    ours = run("-m", "wrasse", "run", "--quiet", "-c", show)
    assert ours == run("-c", show)
    assert "SIG_IGN" in ours and "SIGUSR1" in ours


# --- What wrasse passes on --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("present", "options", "value"),
    [
        (None, [], "1"),
        ("0", [], "1"),
        ("1", ["--trace"], "1,trace=1"),
        ("gc", ["--trace=25"], "1,trace=25"),
        ("trace=3", [], "1,trace=3"),
        ("trace, gc", ["--trace=65535"], "1,trace=65535"),
        ("alloc, gc", [], "1,alloc"),
        (None, ["--limit", "512MiB"], "1,limit=536870912"),
        ("limit=1GiB,tracemalloc", ["--limit=2g"], "1,limit=2147483648"),
        ("limit=1GiB", [], "1,limit=1GiB"),
    ],
)
def test_value_of_wrasse(present: str | None, options: list[str], value: str) -> None:
    changes = {} if present is None else {"WRASSE": present}
    result = wrasse(
        "run", "--quiet", *options, "-c", "import os; print(os.environ['WRASSE'])", **changes
    )
    assert (result.code, result.out) == (0, value + "\n")


def test_the_script_that_pip_installs() -> None:
    script = Path(sysconfig.get_path("scripts")) / "wrasse"
    done = subprocess.run(
        [script, "run", "--quiet", "-c", "print(7)"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")


def test_help_and_version() -> None:
    version = wrasse("--version")
    assert version.code == 0 and version.out.startswith("wrasse 0.")
    for arguments in (["--help"], ["run", "--help"]):
        help_text = wrasse(*arguments)
        assert help_text.code == 0 and help_text.err == ""
        assert "wrasse run --trace app.py" in help_text.out
    nothing = wrasse()
    assert nothing.code == 2 and "Usage: wrasse" in nothing.err


# --- Bad input ----------------------------------------------------------------------------------------


def refused(*arguments: str, cwd: Path | None = None, **changes: str) -> str:
    """Run ``wrasse``, which must say one line and end with 2; returns the line."""
    result = wrasse(*arguments, cwd=cwd, **changes)
    assert (result.code, result.out) == (2, "")
    assert (
        result.err.startswith("wrasse: ")
        and result.err.count("\n") == 1
        and result.err.endswith("\n")
    )
    return result.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run"], "nothing to run"),
        (["run", "--"], "nothing to run"),
        (["run", "--quiet"], "nothing to run"),
        (["run", "-m"], "needs a module"),
        (["run", "-c"], "needs code"),
        (["run", "missing.py"], "no such file: missing.py"),
        (["run", "missing.ipynb"], "no such file: missing.ipynb"),
        (["run", "empty"], "directory without a __main__.py"),
        (["run", "--trace=0", "ok.py"], "from 1 to 65535"),
        (["run", "--trace=abc", "ok.py"], "from 1 to 65535"),
        (["run", "--trace=70000", "ok.py"], "from 1 to 65535"),
        (["run", "--trace=", "ok.py"], "--trace"),
        (
            ["run", "--json", "missing/x.json", "ok.py"],
            "cannot write missing/x.json: No such file or directory",
        ),
        (["run", "--json=empty", "ok.py"], "cannot write empty: it is a directory"),
        (["run", "--json", "ok.py"], "nothing to run"),
        (["run", "--json", "./ok.py", "ok.py"], "--json would overwrite the program itself"),
        (
            ["run", "--json", "book.ipynb", "book.ipynb"],
            "--json would overwrite the program itself",
        ),
        (["run", "--json", "a", "--output", "a", "book.ipynb"], "name the same file"),
        (["run", "-o", "./ok.py", "ok.py"], "-o would overwrite the program itself"),
        (["run", "-o", "book.ipynb", "book.ipynb"], "-o would overwrite the program itself"),
        (["run", "--json", "a", "-o", "./a", "ok.py"], "--json and -o name the same file"),
        (
            ["run", "--output", "a", "-o", "a", "book.ipynb"],
            "--output and -o name the same file",
        ),
        (["run", "--json", "link", "-o", "old", "ok.py"], "--json and -o name the same file"),
        (["run", "--trace", "5", "ok.py"], "no such file: 5 (for 5 frames: --trace=5)"),
        (["run", "-u", "ok.py"], "python -u -m wrasse run"),
        (["run", "--limit", "much", "ok.py"], "512MiB"),
        (["run", "--limit=0", "ok.py"], "512MiB"),
        (["run", "--limit=-1", "ok.py"], "512MiB"),
        (["run", "--limit=99999999999GiB", "ok.py"], "512MiB"),
        (["run", "--output", "x.ipynb", "ok.py"], "--output is for notebooks"),
        (["run", "--output", "empty", "book.ipynb"], "cannot write empty: it is a directory"),
        (["run", "--nosuch", "ok.py"], "--nosuch"),
        (["run", "--quiet=1", "ok.py"], "--quiet"),
        (["ok.py"], "wrasse run"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path: Path, arguments: list[str], part: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "ok.py", "print('must not run')")
    write(tmp_path / "book.ipynb", "{}")
    write(tmp_path / "old", "")
    (tmp_path / "link").symlink_to("old")
    assert part in refused(*arguments, cwd=tmp_path)
    assert (tmp_path / "ok.py").read_text() == "print('must not run')"
    assert (tmp_path / "book.ipynb").read_text() == "{}"


@pytest.mark.parametrize(
    "value", ["nonsense", "gc,nonsense", "trace=0", "trace=x", "limit=much", "limit=0", "limit="]
)
def test_bad_value_of_wrasse_is_refused(value: str) -> None:
    assert value.split(",")[-1] in refused("run", "-c", "print('must not run')", WRASSE=value)


def test_refusal_touches_no_file(tmp_path: Path) -> None:
    write(tmp_path / "old.json", "old")
    refused("run", "--json", "old.json", "missing.py", cwd=tmp_path)
    refused("run", "--json", "old.json", "--trace=0", "-c", "", cwd=tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


def test_interpreter_that_would_not_start_wrasse_is_refused() -> None:
    packages = sysconfig.get_path("platlib")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "wrasse", "run", "-c", "print('must not run')"],
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=packages),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not start wrasse" in done.stderr and done.stderr.count("\n") == 1


def test_no_second_process_stays_behind_the_program() -> None:
    """The program takes the place of the process that was started."""
    result = wrasse(
        "run", "--quiet", "-c", "import os, json; print(json.dumps([os.getpid(), os.getppid()]))"
    )
    assert json.loads(result.out)[1] == os.getpid()

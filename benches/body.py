"""Runs one program's main() in this process and prints what it cost, as one line of JSON.

    python body.py PROGRAM SCALE WATCH

WATCH is who looks on: 0 for nobody, a number of frames for tracemalloc, or the name of another tool
(`memray`, `heapwise-exact`, `heapwise-sampled`). Only main() is timed, in CPU seconds of the whole
process; the peak of resident memory is the process's.
"""

import contextlib
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import own


@contextlib.contextmanager
def watched(tool: str) -> Iterator[None]:
    """Lets a tool look on; what it writes goes away."""
    # Each imports only what it needs: who is not watched must not carry any of it.
    if tool == "memray":
        import tempfile

        memray = importlib.import_module("memray")
        # Without Python's own allocators it would miss most of what the others see.
        with (
            tempfile.TemporaryDirectory() as folder,
            memray.Tracker(Path(folder) / "capture", trace_python_allocators=True),
        ):
            yield
    elif tool.startswith("heapwise"):
        heapwise = importlib.import_module("heapwise")
        heapwise.start(0 if tool == "heapwise-exact" else heapwise.DEFAULT_SAMPLE_RATE)
        yield
        heapwise.stop()
    else:
        if int(tool):
            import tracemalloc

            tracemalloc.start(int(tool))
        yield


def main() -> None:
    """Times the program named on the command line."""
    path, scale, tool = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("program", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python file")
    program = importlib.util.module_from_spec(spec)
    sys.modules["program"] = program
    spec.loader.exec_module(program)
    # Who has been imported is not part of what is measured; what is written at the end is not either.
    with watched(tool):
        begin = time.process_time()
        program.main(scale)
        cpu = time.process_time() - begin
    own.tell(cpu=cpu, peak_kib=own.kib("VmHWM"))


main()

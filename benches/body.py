"""Runs one program's main() in this process and prints what it cost, as one line of JSON.

    python body.py PROGRAM SCALE FRAMES

FRAMES is how many frames tracemalloc records for each block; 0 leaves it off. Only main() is timed,
in CPU seconds of the whole process; the peak of resident memory is the process's.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path


def peak_kib() -> int:
    """The peak of this program's memory; getrusage would include what the process was before exec."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise SystemExit("/proc/self/status does not say VmHWM")


def main() -> None:
    """Times the program named on the command line."""
    path, scale, frames = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("program", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python file")
    program = importlib.util.module_from_spec(spec)
    sys.modules["program"] = program
    spec.loader.exec_module(program)
    if frames:
        import tracemalloc

        tracemalloc.start(frames)
    begin = time.process_time()
    program.main(scale)
    cpu = time.process_time() - begin
    peak = peak_kib()
    status = {}
    if "wrasse._core" in sys.modules:
        import wrasse

        status = {part: str(state) for part, state in wrasse.status().items()}
    print(json.dumps({"cpu": cpu, "peak_kib": peak, "status": status}))


main()

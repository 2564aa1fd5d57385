"""What a measured process says of itself."""

import json
import sys
from pathlib import Path


def kib(name: str) -> int:
    """A line of /proc/self/status: `VmRSS`, or `VmHWM` for the peak, in which getrusage would
    include what the process was before exec."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/self/status does not say {name}")


def tell(**figures: object) -> None:
    """Prints the figures, and which parts wrasse serves, as one line of JSON."""
    status = {}
    if "wrasse._core" in sys.modules:
        import wrasse

        status = {part: str(state) for part, state in wrasse.status().items()}
    print(json.dumps({**figures, "status": status}))

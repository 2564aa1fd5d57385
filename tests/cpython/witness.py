"""Runs CPython's own test runner in this process and then writes down whether wrasse was on.

execution.py passes this text to ``python -c`` (so that sys.path, __main__ and the children are
those of ``python -m test``). The first argument is the file to write; the rest is regrtest's.
"""

import runpy
import sys


def witness() -> dict[str, object]:
    """What this process knows about wrasse, without loading it where it is not."""
    core = sys.modules.get("wrasse._core")
    if core is None:
        return {"loaded": False}
    import wrasse

    proof = getattr(core, "proof", None)
    return {
        "loaded": True,
        "status": dict(wrasse.status()),
        "proof": proof() if proof else None,
    }


def main() -> None:
    """Runs regrtest and writes the report, whatever becomes of it."""
    report = sys.argv[1]
    sys.argv[:] = ["-m", *sys.argv[2:]]
    before = witness()
    try:
        runpy.run_module("test", run_name="__main__", alter_sys=True)
    finally:
        import json
        from pathlib import Path

        text = json.dumps({"before": before, "after": witness()})
        Path(report).write_text(text, encoding="utf-8")


main()

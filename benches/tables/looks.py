"""What looking at a large heap takes: time, and memory beside the heap's own."""

from __future__ import annotations

from looks import CALLS, SHAPES
from sides import MIB, Run, measured


def table(run: Run) -> None:
    """Each shape once: the time is far from its goal, and memory varies little."""
    objects = int(10_000_000 * run.scale)
    run.head(
        f"Looking at a heap of about {objects:,} objects: CPU seconds, and peak memory against"
        " that before. Goal: 10 s, 1.2",
        ("heap", "MiB", *(f"`{call}`" for call in CALLS)),
    )
    for shape in SHAPES:
        result = measured(run.python, "looks.py", [shape, objects], "gc", None)
        calls = [result["calls"][call] for call in CALLS]
        run.row(
            shape,
            f"{calls[0]['before_kib'] / MIB:.0f}",
            *(f"{call['seconds']:.1f}, {call['times']:.2f}" for call in calls),
        )

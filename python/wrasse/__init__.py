"""Python's memory management, built in Rust.

``install()`` puts this process's garbage collector, allocator and allocation
tracer on wrasse; ``status()`` says what runs on wrasse and what is stock, and
why. Most programs need neither: ``wrasse run program.py``, or the environment
variable ``WRASSE=1`` for a whole process tree.

``set_limit("512MiB")`` has ``MemoryError`` raised where Python's objects would
take more than that, ``set_limit(None)`` lifts the limit; ``allocator_stats()``
is what the allocator holds, as a dict of numbers. ``set_pause_target(10)`` has
collections stop the program for no longer than 10 milliseconds where possible.
"""

from wrasse import _core
from wrasse._core import allocator_stats, set_limit, set_pause_target

# For type checkers; at run time it is imported when it is used.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from wrasse._core import GcStats
    from wrasse._metrics import metrics, metrics_text, on_signal
    from wrasse._snapshot import Snapshot
    from wrasse._track import Track, TrackedLine, track
    from wrasse.lines import profile
    from wrasse.picture import Explanation, Heap, Reason, explain, heap, why_alive

__all__ = [
    "Explanation",
    "Heap",
    "Reason",
    "Snapshot",
    "Track",
    "TrackedLine",
    "__version__",
    "allocator_stats",
    "explain",
    "gc_stats",
    "heap",
    "install",
    "metrics",
    "metrics_text",
    "on_signal",
    "profile",
    "set_limit",
    "set_pause_target",
    "snapshot",
    "status",
    "track",
    "why_alive",
]

__version__ = _core.__version__


def install(features: str = "1") -> dict[str, object]:
    """Turns wrasse on in this interpreter, and returns :func:`status`.

    ``features`` is what the environment variable WRASSE takes: ``"1"``, which
    is everything, or a comma list of ``gc``, ``alloc``, ``tracemalloc``,
    ``trace[=NFRAME]``, ``temporary=N``, ``limit=SIZE``, ``gc-log``, ``pause=TIME`` and
    ``snapshot=SIGNAL``. What is on already stays on. A part that does not fit this
    interpreter stays stock and says so in one line on standard error. Raises
    ValueError for a word that wrasse does not know.
    """
    return _core.install(features)


def status() -> dict[str, object]:
    """Says what runs on wrasse in this interpreter.

    Keys: ``version``; ``gc``, ``alloc`` and ``tracemalloc``, each ``"wrasse"``
    or ``"stock: …"`` with the reason; ``profile``, ``"on"`` or ``"off"``;
    ``notes``, what is on but limited here.
    """
    return _core.status()


def gc_stats() -> "GcStats":
    """Says what wrasse's collector has done in this interpreter; times are in seconds.

    Keys: ``generations``, youngest first, each with ``collections``,
    ``candidates`` (objects looked at), ``collected``, ``uncollectable``,
    ``freed_bytes``, ``duration`` and ``longest``; ``reasons``, how many collections ran because
    they were ``asked`` for, a ``threshold`` was passed that the program has set,
    the ``nursery`` was full, the process had seen ``growth``, the nursery had
    come of ``age``, the ``middle`` generation was due, or new objects were a
    large enough ``share`` of the old ones; ``freed_bytes`` of all collections,
    which counts at least the blocks of the objects freed, and, where wrasse's
    allocator serves them and the heap is not far larger than what was found,
    everything given back with them; ``pause_p50``, ``pause_p99`` (both to
    about a fifth) and ``pause_max``; ``duration`` of all collections, and the
    ``time`` since the collector was turned on, and the ``share`` of it that they
    took; ``nursery``, how many objects the
    youngest generation may hold now, or None if the program has set thresholds;
    ``pause_target``, and the ``slices`` that full collections were done in under it.

    Raises RuntimeError if the collector is not on.
    """
    return _core.gc_stats()


def snapshot(source: str | None = None) -> "Snapshot":
    """Sums up what is live now, by traceback, in milliseconds.

    ``source`` is ``"profile"`` for wrasse's own profile (``wrasse run --trace``) or
    ``"tracemalloc"`` for what the program traces with :mod:`tracemalloc`; if it is not
    given, the profile where it is on. Raises RuntimeError if neither records.

    The result has the methods of :class:`tracemalloc.Snapshot`. Their argument ``measure`` also
    shows what was live at the peak, all that was allocated, and what was temporary;
    ``threads()`` says what each thread has allocated.
    """
    if source is None:
        source = "profile" if _core.status()["profile"] == "on" else "tracemalloc"
    sums = _core.Sums(source)
    # Imported when it is used, and not before what is live has been summed up.
    from wrasse._snapshot import Snapshot

    return Snapshot(sums)


def load_ipython_extension(ipython: "InteractiveShell") -> None:
    """For IPython's ``%load_ext wrasse``: brings ``%memit``, ``%mprun`` and ``%%wrasse``."""
    from wrasse import magics

    magics.load(ipython)


def __getattr__(name: str) -> object:
    """What is imported when it is first asked for."""
    value: object
    if name == "Snapshot":
        from wrasse import _snapshot

        value = _snapshot.Snapshot
    elif name in ("Explanation", "Heap", "Reason", "explain", "heap", "why_alive"):
        from wrasse import picture

        value = getattr(picture, name)
    elif name in ("Track", "TrackedLine", "track"):
        from wrasse import _track

        value = getattr(_track, name)
    elif name in ("metrics", "metrics_text", "on_signal"):
        from wrasse import _metrics

        value = getattr(_metrics, name)
    elif name == "profile":
        from wrasse import lines

        value = lines.profile
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value

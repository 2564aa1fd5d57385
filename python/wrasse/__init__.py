"""Python's memory management, built in Rust.

``install()`` puts this process's garbage collector and allocation tracer on
wrasse; ``status()`` says what runs on wrasse and what is stock, and why. Most
programs need neither: ``wrasse run program.py``, or the environment variable
``WRASSE=1`` for a whole process tree.
"""

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrasse.picture import Explanation, Heap, Reason, explain, heap, why_alive

__all__ = [
    "Explanation",
    "Heap",
    "Reason",
    "__version__",
    "explain",
    "heap",
    "install",
    "status",
    "why_alive",
]

__version__ = str(_core.status()["version"])


def install(features: str = "1") -> dict[str, object]:
    """Turns wrasse on in this interpreter, and returns :func:`status`.

    ``features`` is what the environment variable WRASSE takes: ``"1"``, or a
    comma list of ``gc``, ``tracemalloc``, ``trace[=NFRAME]``, ``alloc`` and
    ``limit=SIZE``. What is on already stays on. A part that does not fit this
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


def __getattr__(name: str) -> object:
    """What is asked about the heap, imported when it is first asked."""
    if name in ("Explanation", "Heap", "Reason", "explain", "heap", "why_alive"):
        from wrasse import picture

        value: object = getattr(picture, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'wrasse' has no attribute {name!r}")

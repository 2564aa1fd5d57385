"""``wrasse.metrics()`` and ``wrasse.on_signal()``: what services ask for."""

from __future__ import annotations

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike


def metrics() -> dict[str, float | dict[str, float]]:
    """Say what the memory of this process does now, as numbers by name.

    Names are those of :func:`metrics_text`; what counts by generation of the garbage
    collector is a dict by ``"0"``, ``"1"`` and ``"2"``. Parts that are not on are left out.
    Takes microseconds, and no lock for longer.
    """
    found: dict[str, float | dict[str, float]] = {}
    for name, _, _, _, values in _core.metrics():
        by_generation = {generation: value for generation, value in values if generation}
        found[name] = by_generation or values[0][1]
    return found


def metrics_text() -> str:
    """The same in Prometheus's text format, for a service's ``/metrics``."""
    return _core.metrics_text()


def on_signal(signal: int | str = "SIGUSR1", directory: str | PathLike[str] = "") -> int:
    """Write a snapshot of what is live whenever the process gets a signal.

    The file is a capture (``wrasse table`` and the other commands read it) with the
    process's number and the time in its name, in ``directory`` or the current one.
    It is written by the main thread between two instructions, as Python runs its own
    signal handlers; the program's handler of that signal is replaced. Turns wrasse's
    tracer on if it is off: then what was allocated before is not in the snapshots.

    ``signal`` is SIGUSR1, SIGUSR2, SIGHUP, SIGQUIT, SIGWINCH or a real-time signal, by
    name or number. Returns its number. Raises ValueError for another one and outside of
    the main thread, RuntimeError where the tracer cannot be turned on.
    """
    from os import fspath

    return _core.on_signal(signal, fspath(directory))

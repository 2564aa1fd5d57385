"""``wrasse.snapshot()``: what is live, summed up in Rust."""

from __future__ import annotations

from collections import namedtuple
from tracemalloc import Statistic, StatisticDiff, Traceback

from wrasse import _core

# For type checkers: at run time nothing is imported that the results do not need,
# since it would show in the next snapshot.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import NamedTuple, Protocol

    class Matching(Protocol):
        """What the filters of tracemalloc have."""

        @property
        def inclusive(self) -> bool: ...  # noqa: D102
        def _match(self, trace: tuple[object, ...], /) -> bool: ...

    class Amount(NamedTuple):
        size: int
        blocks: int

    class ThreadTotal(NamedTuple):
        number: int
        name: str
        live: Amount
        peak: Amount
        allocated: Amount
        temporary: Amount

else:
    Amount = namedtuple("Amount", "size blocks")
    ThreadTotal = namedtuple("ThreadTotal", "number name live peak allocated temporary")


class Snapshot:
    """What was live at one moment, summed by traceback.

    Has the methods of :class:`tracemalloc.Snapshot`, whose results have the same
    types, order and words. It has no ``traces``: single blocks are not kept, which
    is why taking a snapshot takes milliseconds.
    """

    def __init__(self, sums: _core.Sums) -> None:
        """Made by :func:`wrasse.snapshot` and :meth:`load`."""
        self._sums = sums

    @property
    def traceback_limit(self) -> int:
        """How many frames of each traceback are kept."""
        return self._sums.limit()

    def statistics(
        self, key_type: str, cumulative: bool = False, measure: str = "live"
    ) -> list[Statistic]:
        """Sum by ``"lineno"``, ``"filename"`` or ``"traceback"``, most bytes first.

        ``measure`` says which blocks: those ``"live"`` when the snapshot was taken, those live
        at the ``"peak"``, all ``"allocated"`` since tracing began, or those of them that were
        ``"temporary"``: freed before the next block was allocated.
        """
        found = self._sums.statistics(key_type, cumulative, measure)
        return [Statistic(Traceback(frames), size, count) for frames, size, count in found]

    def compare_to(
        self,
        old_snapshot: Snapshot,
        key_type: str,
        cumulative: bool = False,
        measure: str = "live",
    ) -> list[StatisticDiff]:
        """Say what has changed since ``old_snapshot``, the largest change first.

        ``measure`` is that of :meth:`statistics`; with ``"allocated"`` the differences are what
        was allocated in between.
        """
        found = self._sums.compare(old_snapshot._sums, key_type, cumulative, measure)
        return [
            StatisticDiff(Traceback(frames), size, size_diff, count, count_diff)
            for frames, size, size_diff, count, count_diff in found
        ]

    def threads(self) -> list[ThreadTotal]:
        """Say what each thread has allocated, in the order in which they came.

        Each has a ``number``, the system's (:func:`threading.get_native_id`), 0 for all threads
        beyond the first 255; a ``name``, empty where it is not known; and four pairs of
        ``size`` in bytes and number of ``blocks``: what of it is ``live``, whoever frees it; what
        was live at the ``peak``, when most was, of all threads together; all that it
        ``allocated``; and of that what was ``temporary``, freed before the next block was
        allocated. Filters change nothing here.
        """
        return [
            ThreadTotal(number, name, *(Amount(*amount) for amount in amounts))
            for number, name, *amounts in self._sums.threads()
        ]

    def filter_traces(self, filters: Iterable[Matching]) -> Snapshot:
        """Return a snapshot of what the filters of tracemalloc let through.

        As in tracemalloc: at least one inclusive filter must match, if there is any,
        and every exclusive one.
        """
        try:
            every = list(filters)
        except TypeError:
            kind = type(filters).__name__
            raise TypeError(f"filters must be a list of filters, not {kind}") from None
        inclusive = [each for each in every if each.inclusive]
        exclusive = [each for each in every if not each.inclusive]

        def keep(trace: tuple[object, ...]) -> bool:
            if inclusive and not any(each._match(trace) for each in inclusive):
                return False
            return all(each._match(trace) for each in exclusive)

        return Snapshot(self._sums.filtered(bytes(keep(g[:4]) for g in self._sums.groups())))

    def dump(self, filename: str | PathLike[str]) -> None:
        """Write the snapshot to a file, which ``wrasse table`` and ``wrasse export`` read too."""
        with open(filename, "wb") as file:  # noqa: PTH123 (pathlib would show in the next snapshot)
            file.write(self._sums.to_capture())

    @staticmethod
    def load(filename: str | PathLike[str]) -> Snapshot:
        """Read what :meth:`dump` wrote, or what was live at the end of a capture.

        Raises OSError if the file cannot be read, ValueError if it is something else.
        """
        with open(filename, "rb") as file:  # noqa: PTH123
            content = file.read()
        try:
            return Snapshot(_core.Sums.of_capture(content))
        except ValueError as error:
            raise ValueError(f"{filename}: {error}") from None

"""What the pytest plugin does when it is asked to."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from wrasse import _core
from wrasse._track import Track, TrackedLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from _pytest.terminal import TerminalReporter

#: Frames of a traceback, so that lines of libraries can be told from the test's.
FRAMES = 12
#: The key of a test's peak in its report, which other processes send too.
PEAK = "wrasse_peak_bytes"
#: Tracebacks that pass through these are pytest's doing, and the logging it captures.
_OURS = ("/_pytest/", "/pluggy/", "/wrasse/", "/logging/__init__.py")


def size(count: int) -> str:
    """Bytes in words."""
    value, sign = float(abs(count)), "-" if count < 0 else ""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024 or unit == "MiB":
            break
        value /= 1024
    digits = 0 if unit == "B" else 1
    return f"{sign}{value:,.{digits}f} {unit}"


def _place(item: pytest.Item, frames: tuple[tuple[str, int], ...]) -> str:
    """A line for people: the innermost frame, and the test's own where that is another."""

    def show(frame: tuple[str, int]) -> str:
        path = Path(frame[0])
        if path.is_relative_to(item.config.rootpath):
            path = path.relative_to(item.config.rootpath)
        return f"{path}:{frame[1]}"

    if not frames:
        return "no Python code"
    own = next((frame for frame in frames if frame[0] == str(item.path)), frames[0])
    return show(frames[0]) if own == frames[0] else f"{show(frames[0])}, called at {show(own)}"


def _table(item: pytest.Item, rows: Iterable[tuple[int, str, tuple[tuple[str, int], ...]]]) -> str:
    lines = [f"  {size(count):>12}  {_place(item, frames)}{more}" for count, more, frames in rows]
    return "\n".join(lines)


def _argument(marker: pytest.Mark, name: str, default: object) -> object:
    return marker.kwargs.get(name, default)


def _limit_of(item: pytest.Item, marker: pytest.Mark) -> int:
    values = [*marker.args, *(marker.kwargs[key] for key in marker.kwargs if key == "limit")]
    if len(values) != 1 or set(marker.kwargs) - {"limit"}:
        raise _misuse(item, 'max_memory takes one limit: @pytest.mark.max_memory("24 MB")')
    return _bytes(item, "max_memory", values[0])


def _bytes(item: pytest.Item, marker: str, value: object) -> int:
    if isinstance(value, (int, str)):
        try:
            return _core.size_in_bytes(value)
        except ValueError as error:
            raise _misuse(item, f"{marker}: {error}") from None
    raise _misuse(item, f"{marker}: {value!r} is not a size")


def _misuse(item: pytest.Item, words: str) -> BaseException:
    """The failure of a test whose marker makes no sense."""
    return pytest.fail.Exception(f"{item.nodeid}: {words}", pytrace=False)


def measured(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test run as its markers ask for; the wrapper of ``pytest_runtest_call``."""
    peak = item.get_closest_marker("max_memory")
    leaks = item.get_closest_marker("no_leaks")
    cycles = item.get_closest_marker("no_cycles")
    limit = _limit_of(item, peak) if peak else None
    garbage = _Garbage() if cycles else None
    track = Track(FRAMES)
    try:
        with track:
            if garbage:
                garbage.begin()
            try:
                result = yield
            finally:
                found = garbage.end(item) if garbage else []
    finally:
        item.user_properties.append((PEAK, track.peak_bytes))
    if limit is not None and track.peak_bytes > limit:
        largest = sorted(track.lines, key=lambda line: line.allocated_bytes, reverse=True)
        rows = ((line.allocated_bytes, "", line.frames) for line in largest[:5])
        pytest.fail(
            f"{size(track.peak_bytes)} were live at once, the limit is {size(limit)} "
            f"(max_memory); the lines that allocated most:\n{_table(item, rows)}",
            pytrace=False,
        )
    if found:
        total = sum(row[0] for row in found)
        pytest.fail(
            f"{size(total)} are left in reference cycles, which only the garbage collector "
            f"frees (no_cycles); allocated at:\n{_table(item, found[:5])}",
            pytrace=False,
        )
    if leaks:
        _check_leaks(item, leaks)
    return result


def _check_leaks(item: pytest.Item, marker: pytest.Mark) -> None:
    """Call the test again: what each further call keeps at the same lines is a leak."""
    if marker.args or set(marker.kwargs) - {"rounds", "allow"}:
        raise _misuse(item, "no_leaks takes rounds= and allow= only")
    rounds = _argument(marker, "rounds", 2)
    allowed = _bytes(item, "no_leaks", _argument(marker, "allow", 0))
    if not isinstance(rounds, int) or rounds < 1:
        raise _misuse(item, f"no_leaks: rounds must be at least 1, not {rounds!r}")
    if not isinstance(item, pytest.Function):
        raise _misuse(item, "no_leaks is for test functions")
    kept: dict[tuple[str, int], TrackedLine] = {}
    for number in range(rounds):
        gc.collect()
        with Track(FRAMES) as track:
            item.runtest()
            gc.collect()
        now = {
            (line.file, line.line): line
            for line in track.lines
            if line.net_bytes > 0 and line.net_blocks > 0 and not _is_ours(item, line)
        }
        if number == 0:
            kept = now
        else:
            both = kept.keys() & now.keys()
            kept = {key: min(kept[key], now[key], key=lambda line: line.net_bytes) for key in both}
    leaked = sorted(kept.values(), key=lambda line: line.net_bytes, reverse=True)
    total = sum(line.net_bytes for line in leaked)
    if total > allowed:
        rows = (
            (line.net_bytes, f" ({line.net_blocks} blocks)", line.frames) for line in leaked[:5]
        )
        pytest.fail(
            f"each call keeps {size(total)} more (no_leaks, {rounds} further calls), "
            f"allocated at:\n{_table(item, rows)}",
            pytrace=False,
        )


def _is_ours(item: pytest.Item, line: TrackedLine) -> bool:
    """Does pytest allocate here, and not the test or what it calls?"""
    for file, _ in line.frames:
        if file == str(item.path):
            return False
        if any(part in file for part in _OURS):
            return True
    return False


class _Garbage:
    """Objects that a test leaves to the garbage collector."""

    def begin(self) -> None:
        """Only what the test leaves is to be found."""
        gc.collect()
        self.was_enabled = gc.isenabled()
        gc.disable()

    def end(self, item: pytest.Item) -> list[tuple[int, str, tuple[tuple[str, int], ...]]]:
        """Bytes, types and frames of what the collector finds."""
        flags, before = gc.get_debug(), len(gc.garbage)
        gc.set_debug(flags | gc.DEBUG_SAVEALL)
        try:
            self._end_frames(before, item)
            return self._rows(before)
        finally:
            gc.set_debug(flags)
            if self.was_enabled:
                gc.enable()

    def _end_frames(self, before: int, item: pytest.Item) -> None:
        """Clear the test's own frame.

        An exception in one of its variables (``pytest.raises(…) as error``) holds that
        frame, and so itself: such cycles are the variables', not the program's.
        """
        code = getattr(getattr(item, "function", None), "__code__", None)
        for each in self._find(before):
            if isinstance(each, FrameType) and each.f_code is code:
                each.clear()

    def _find(self, before: int) -> list[object]:
        gc.collect()
        found = gc.garbage[before:]
        del gc.garbage[before:]
        return found

    def _rows(self, before: int) -> list[tuple[int, str, tuple[tuple[str, int], ...]]]:
        places: dict[tuple[tuple[str, int], ...], tuple[int, Counter[str]]] = {}
        for each in self._find(before):
            count, frames = _core.allocated_at(each) or (0, ())
            total, types = places.get(frames, (0, Counter()))
            types[type(each).__qualname__] += 1
            places[frames] = (total + count, types)
        rows = [
            (total, " (" + ", ".join(f"{n} {name}" for name, n in types.most_common(3)) + ")", at)
            for at, (total, types) in places.items()
        ]
        return sorted(rows, key=lambda row: row[0], reverse=True)


def summarize(reporter: TerminalReporter, top: int) -> None:
    """The tests with the highest peaks, from this process's reports and those of workers."""
    peaks = [
        (value, report.nodeid)
        for reports in reporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for key, value in report.user_properties
        if key == PEAK
    ]
    if peaks:
        reporter.section("memory of tests (wrasse)")
        for peak, name in sorted(peaks, key=lambda row: (-row[0], row[1]))[:top]:
            reporter.write_line(f"{size(peak):>12}  {name}")

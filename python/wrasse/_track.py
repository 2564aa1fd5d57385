"""``wrasse.track()``: what a piece of a program allocates, frees and keeps."""

from __future__ import annotations

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class TrackedLine:
    """What one source line allocated and kept."""

    __slots__ = ("allocated_blocks", "allocated_bytes", "frames", "net_blocks", "net_bytes")

    def __init__(
        self,
        frames: tuple[tuple[str, int], ...],
        net_bytes: int,
        net_blocks: int,
        allocated_bytes: int,
        allocated_blocks: int,
    ) -> None:
        """Made by :class:`Track`."""
        #: Its traceback, most recent call first, as (file, line): one that did most there.
        self.frames = frames
        #: By how many bytes more of its blocks are live than before; negative if less.
        self.net_bytes = net_bytes
        #: The same in blocks.
        self.net_blocks = net_blocks
        #: All it allocated, freed or not.
        self.allocated_bytes = allocated_bytes
        #: The same in blocks.
        self.allocated_blocks = allocated_blocks

    @property
    def file(self) -> str:
        """The file, as its code names it; empty where no Python code was running."""
        return self.frames[0][0] if self.frames else ""

    @property
    def line(self) -> int:
        """The line's number."""
        return self.frames[0][1] if self.frames else 0

    def __repr__(self) -> str:
        """Place and bytes."""
        return f"<TrackedLine {self.file}:{self.line} {self.net_bytes:+} bytes>"


class Track:
    """Measures what happens while it is entered; see :func:`wrasse.track`."""

    __slots__ = ("_enter", "_fields", "_frames", "_lines", "_number", "_text")

    def __init__(self, frames: int = 1) -> None:
        """Made by :func:`wrasse.track`."""
        self._frames = frames
        self._number: int | None = None
        self._fields: _core.TrackFields | None = None
        self._lines: list[TrackedLine] | None = None
        self._text = "not measured yet"
        self._enter: Callable[[], Track] | None = None

    @property
    def __enter__(self) -> Callable[[], Track]:
        """Begin to measure.

        The method is kept until the end: what ``with`` lets go of after the beginning
        would count as freed inside.
        """
        self._enter = method = self._begin
        return method

    def _begin(self) -> Track:
        if self._number is not None:
            raise RuntimeError("this tracker is measuring already; make another with track()")
        self._number = _core.track_begin(self._frames)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it: the figures stay as they are now."""
        if self._number is None:
            raise RuntimeError("this tracker is not measuring")
        self._fields, lines, self._text = _core.track_end(self._number)
        self._number = self._enter = None
        self._lines = [TrackedLine(*line) for line in lines]

    def _figures(self) -> _core.TrackFields:
        if self._number is not None:
            return _core.track_look(self._number)
        if self._fields is None:
            raise RuntimeError("nothing is measured yet: with wrasse.track() as t: ...")
        return self._fields

    @property
    def allocated_bytes(self) -> int:
        """All bytes that were allocated, freed or not."""
        return self._figures()["allocated_bytes"]

    @property
    def allocated_blocks(self) -> int:
        """All blocks that were allocated, freed or not."""
        return self._figures()["allocated_blocks"]

    @property
    def freed_bytes(self) -> int:
        """All bytes that were freed, allocated inside or before."""
        return self._figures()["freed_bytes"]

    @property
    def freed_blocks(self) -> int:
        """All blocks that were freed, allocated inside or before."""
        return self._figures()["freed_blocks"]

    @property
    def net_bytes(self) -> int:
        """By how many bytes more are live than at the beginning."""
        return self._figures()["net_bytes"]

    @property
    def net_blocks(self) -> int:
        """By how many blocks more are live than at the beginning."""
        return self._figures()["net_blocks"]

    @property
    def peak_bytes(self) -> int:
        """The most bytes that were live, beyond those at the beginning."""
        return self._figures()["peak_bytes"]

    @property
    def lines(self) -> list[TrackedLine]:
        """Every line that allocated, those that keep most first. Known at the end."""
        if self._lines is None:
            raise RuntimeError("lines are known when the block has ended")
        return self._lines

    def __str__(self) -> str:
        """The figures and the first lines, in words."""
        return self._text


def track(frames: int = 1) -> Track:
    """Measure what a ``with`` block allocates, frees and keeps, to the byte.

    Turns wrasse's tracer on for the time, if it is off; ``frames`` is how many frames
    each traceback then has. Blocks may be nested, and run in several threads: all
    count what the whole process does. What was allocated before the tracer was on
    is not seen to go. Raises RuntimeError where the tracer cannot be turned on.
    """
    return Track(frames)

"""Answers about the heap: who holds an object, why it is alive, what there is.

The functions live in :mod:`wrasse`; everything is worked out in Rust, from one
look at the heap that creates, keeps and changes nothing. No code of the
program runs: no ``__repr__``, no ``__eq__``, no ``__class__``.
"""

from __future__ import annotations

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrasse._core import (
        CycleRow,
        ExplanationFields,
        HeapFields,
        LargeRow,
        ModuleRow,
        ReasonFields,
        TypeRow,
    )


class _Answer:
    """Something to print."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        """The answer in words."""
        return self._text

    def __repr__(self) -> str:
        """The same: an answer is there to be looked at."""
        return self._text


class Explanation(_Answer):
    """Who holds the references to an object; ``print()`` shows it."""

    def __init__(self, fields: ExplanationFields) -> None:
        super().__init__(fields["text"])
        self._fields = fields

    def to_dict(self) -> ExplanationFields:
        """The same as plain values."""
        return self._fields


class Reason(_Answer):
    """Why an object is alive, or that only a cycle keeps it; ``print()`` shows it."""

    def __init__(self, fields: ReasonFields) -> None:
        super().__init__(fields["text"])
        self._fields = fields

    def __bool__(self) -> bool:
        """Whether anything but garbage and the question itself holds it."""
        return self._fields["alive"]

    @property
    def paths(self) -> list[str]:
        """The paths that lead to it, shortest first."""
        return self._fields["paths"]

    def to_dict(self) -> ReasonFields:
        """The same as plain values."""
        return self._fields


class Heap(_Answer):
    """What was on the heap at one moment; ``print()`` shows the types.

    It holds no object: names were written down when it was made.
    """

    def __init__(self, fields: HeapFields) -> None:
        super().__init__(fields["text"])
        self._fields = fields

    @property
    def objects(self) -> int:
        """How many objects there were."""
        return self._fields["objects"]

    @property
    def bytes(self) -> int:
        """Their bytes, as ``sys.getsizeof`` counts them."""
        return self._fields["bytes"]

    @property
    def types(self) -> list[TypeRow]:
        """A row for each type, the most bytes first."""
        return self._fields["types"]

    def biggest(self, n: int = 10) -> list[LargeRow]:
        """The objects with which the most memory would go, and how to reach them."""
        return self._fields["biggest"][:n]

    def by_module(self) -> list[ModuleRow]:
        """What would go with the namespace of each module, the most first."""
        return self._fields["modules"]

    def cycles(self) -> list[CycleRow]:
        """The reference cycles, alike ones together, the most bytes first."""
        return self._fields["cycles"]

    def to_dict(self) -> HeapFields:
        """Everything as plain values."""
        return self._fields

    def to_json(self) -> str:
        """Everything as JSON."""
        import json

        return json.dumps(self._fields, ensure_ascii=False)


def explain(obj: object, *, limit: int = 20) -> Explanation:
    """Say who holds each reference to ``obj``.

    At most ``limit`` objects are named; the others are counted by type.
    """
    return Explanation(_core.explain(obj, limit))


def why_alive(obj: object, *, limit: int = 5) -> Reason:
    """Say by which paths modules, running functions or C code lead to ``obj``.

    At most ``limit`` paths, each by another holder, shortest first.
    """
    return Reason(_core.why_alive(obj, limit))


def heap(*, limit: int = 100) -> Heap:
    """Look at all objects of this interpreter.

    The ``limit`` largest objects and kinds of cycles are named.
    """
    return Heap(_core.heap(limit))

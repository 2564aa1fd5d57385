"""``@wrasse.profile``: what each line of a function does to memory.

Takes the place of memory_profiler's decorator of that name, and shows the same
table, from the tracer's exact count of bytes instead of the process's pages.
"""

from __future__ import annotations

import functools
import sys
from types import CodeType

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those inside it, the outer ones first."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def code_of(function: object) -> CodeType:
    """The code object of the function under all decorators.

    Raises TypeError if there is none.
    """
    inner = function
    for _ in range(100):
        inner = getattr(inner, "__wrapped__", None) or getattr(inner, "__func__", inner)
        if not hasattr(inner, "__wrapped__") and not hasattr(inner, "__func__"):
            break
    code = getattr(inner, "__code__", None)
    if not isinstance(code, CodeType):
        raise TypeError(
            f"profile takes a function written in Python, not {type(function).__name__!r}"
        )
    return code


def watch(
    function: object, stream: object = None, precision: int = 3, shows_calls: bool = True
) -> CodeType:
    """Measure the lines of a function from now on; returns its code object."""
    code = code_of(function)
    codes = tuple(_codes(code))
    ends = (end for each in codes for _, end, _, _ in each.co_positions() if end)
    starts = (line for each in codes for _, _, line in each.co_lines() if line)
    last = max([code.co_firstlineno, *ends, *starts])
    _core.lines_watch(codes, last, stream, precision, shows_calls)
    return code


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar, overload

    F = TypeVar("F", bound=Callable[..., object])

    @overload
    def profile(func: F) -> F: ...
    @overload
    def profile(
        func: None = None, stream: object = None, precision: int = 3, backend: str | None = None
    ) -> Callable[[F], F]: ...
    def profile(  # noqa: D103 (the same as below)
        func: F | None = None,
        stream: object = None,
        precision: int = 3,
        backend: str | None = None,
    ) -> F | Callable[[F], F]: ...

else:

    def profile(
        func: object = None,
        stream: object = None,
        precision: int = 3,
        backend: str | None = None,
    ) -> object:
        """Measure what each line of a function does to memory, and print it after each call.

        ``stream`` is where the table is written, :data:`sys.stdout` if it is not given;
        ``precision`` how many digits of a MiB are shown. ``backend`` is taken for
        memory_profiler's sake and has no effect. Under ``wrasse lines`` the tables come
        when the program has ended, and the functions need not import anything.

        From Python 3.12 on the function itself is returned, so that nothing but its
        lines' events is different. Raises TypeError for what is not a Python function.
        """
        if func is None:
            return functools.partial(profile, stream=stream, precision=precision, backend=backend)
        watch(func, stream, precision)
        if sys.version_info >= (3, 12):
            return func
        from wrasse import _traced

        return _traced.wrap(func)

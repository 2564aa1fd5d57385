# ruff: noqa: ANN401 (a decorator takes whatever function there is)
"""On 3.11, a profiled function turns the tracing of lines on and off by itself."""

from __future__ import annotations

import functools
import inspect

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any


class Tracing:
    """While it is entered, CPython tells of this thread's lines."""

    def __enter__(self) -> None:
        """Tell from now on."""
        _core.lines_trace(True)

    def __exit__(self, *_: object) -> None:
        """Tell no more, unless another function still runs."""
        _core.lines_trace(False)


def wrap(function: Any) -> Any:
    """The same function, between turning the tracing on and off."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(wrap(function.__func__))
    wrapper: Any
    if inspect.iscoroutinefunction(function):

        async def wrapper(*arguments: Any, **keywords: Any) -> Any:
            with Tracing():
                return await function(*arguments, **keywords)

    elif inspect.isasyncgenfunction(function):

        async def wrapper(*arguments: Any, **keywords: Any) -> AsyncGenerator[Any, Any]:
            generator = function(*arguments, **keywords)
            step, value = generator.asend, None
            with Tracing():
                try:
                    while True:
                        try:
                            value = yield await step(value)
                        except StopAsyncIteration:
                            return
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            # Of the program's `athrow`, or the generator's own.
                            if generator.ag_frame is None:
                                raise
                            step, value = generator.athrow, error
                        else:
                            step = generator.asend
                finally:
                    await generator.aclose()

    elif inspect.isgeneratorfunction(function):

        def wrapper(*arguments: Any, **keywords: Any) -> Generator[Any, Any, Any]:
            with Tracing():
                return (yield from function(*arguments, **keywords))

    else:

        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            with Tracing():
                return function(*arguments, **keywords)

    return functools.wraps(function)(wrapper)

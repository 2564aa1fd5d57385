"""The pytest plugin: limits on what tests do to memory.

Nothing is measured, and nothing imported, unless a test carries one of the
markers or ``--wrasse`` is given; then ``wrasse._pytest`` does the work.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from _pytest.terminal import TerminalReporter

#: Hooks of the kind that measures. An older pytest must not fail for a plugin that nobody uses.
HAS_WRAPPERS = tuple(int(part) for part in pytest.__version__.split(".")[:1]) >= (8,)
MARKERS = (
    "max_memory(limit): fail the test if more than limit ('24 MB', or bytes) is live at "
    "once of what it allocates",
    "no_leaks(rounds=2, allow=0): call the test function again and again, and fail if each "
    "call keeps memory (more than allow) at the same lines",
    "no_cycles: fail the test if it leaves objects that only the garbage collector frees",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--wrasse``."""
    group = parser.getgroup("wrasse", "memory of tests, measured by wrasse")
    group.addoption(
        "--wrasse",
        action="store_true",
        help="measure every test, and show those with the highest peaks of memory",
    )
    group.addoption(
        "--wrasse-top",
        type=int,
        default=10,
        metavar="N",
        help="how many tests --wrasse shows (10)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    if not HAS_WRAPPERS and config.getoption("wrasse"):
        raise pytest.UsageError(f"--wrasse needs pytest 8 or newer, not {pytest.__version__}")
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def _runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure the test itself, without its fixtures."""
    names = ("max_memory", "no_leaks", "no_cycles")
    is_marked = any(item.get_closest_marker(name) for name in names)
    if not is_marked and not item.config.getoption("wrasse"):
        return (yield)
    from wrasse import _pytest

    return (yield from _pytest.measured(item))


if HAS_WRAPPERS:
    pytest_runtest_call = pytest.hookimpl(wrapper=True, trylast=True)(_runtest_call)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Show the tests with the highest peaks."""
    if config.getoption("wrasse"):
        from wrasse import _pytest

        _pytest.summarize(terminalreporter, config.getoption("wrasse_top"))

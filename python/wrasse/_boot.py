"""Turns wrasse on at the start of an interpreter.

``00_wrasse.pth`` imports this module in every interpreter of a process whose
environment has WRASSE set, before the program and most of the standard library
are there. Hence two rules: never let an exception out (the line there turns one
into a message), and import nothing that a stock start does not import.
"""

import os
import sys

# The importer of built-in modules, by the name it has before importlib exists.
from _frozen_importlib import BuiltinImporter

from wrasse import _core

# What `typing` would say, without importing it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MODULES = ("gc", "_tracemalloc")
started = False


class FreshModules:
    """A finder that gives the modules wrasse serves its functions when they are imported.

    ``import gc`` finds the patched module in ``sys.modules``. Somebody who
    deletes it there and imports it once more would get a stock one.
    ``_tracemalloc`` comes this way the first time already.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if name not in MODULES:
            return None
        spec: ModuleSpec | None = BuiltinImporter.find_spec(name)
        if spec is not None:
            spec.loader = FreshModules  # type: ignore[assignment]
        return spec

    @staticmethod
    def create_module(spec: "ModuleSpec") -> "ModuleType":
        return BuiltinImporter.create_module(spec)  # type: ignore[return-value]

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        BuiltinImporter.exec_module(module)
        module.__loader__ = BuiltinImporter
        if module.__spec__ is not None:
            module.__spec__.loader = BuiltinImporter  # type: ignore[assignment]
        _core.patch(module)


def watch_imports() -> None:
    """Puts the finder in front of the others, once."""
    if FreshModules not in sys.meta_path:
        sys.meta_path.insert(0, FreshModules)


def boot() -> None:
    """Turns on what the environment variable says, once.

    A virtual environment's ``.pth`` files are read twice at each start.
    """
    global started
    if not started:
        started = True
        if _core.boot(os.environ.get("WRASSE", "")):
            watch_imports()

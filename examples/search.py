"""A search engine over the source code of Python's standard library.

    wrasse run --trace examples/search.py
    wrasse run examples/search.py "open a socket" "parse dates"

It reads every module of the interpreter it runs on, builds an index of their
words, ranks modules for a few queries, finds modules that import each other in
a circle, reads some packages again as if they had been edited, and takes the
index through JSON and back. An ordinary program: nothing in it knows of wrasse.

Its objects refer to each other the way real ones do (a package to its modules
and they to it, a module to its definitions and they to it), so all that an edit
replaces is garbage in cycles, which reference counts alone never free.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sysconfig
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WORD = re.compile(r"[A-Za-z]{3,}")
CAMEL = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{3,}")
DEFINITION = re.compile(r"^([ \t]*)(?:async\s+)?(class|def)\s+(\w+)", re.MULTILINE)
IMPORT = re.compile(
    r"^(?:from\s+([\w.]+)\s+import\s+\(?([\w, ]*)|import\s+([\w., ]+))", re.MULTILINE
)
IGNORED_FOLDERS = {"test", "tests", "site-packages", "dist-packages", "idlelib", "__pycache__"}
QUERIES = ("parse json text", "garbage collector reference cycle", "open a network socket")
EDITED = ("json", "email", "asyncio", "importlib")
ROUNDS = 10


@dataclass(eq=False)
class Package:
    """A folder of modules."""

    name: str
    parent: Package | None = None
    packages: dict[str, Package] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)

    def package(self, name: str) -> Package:
        """The package ``name`` in this one, made if need be."""
        if name not in self.packages:
            self.packages[name] = Package(name, parent=self)
        return self.packages[name]

    def walk(self) -> Iterator[Module]:
        """All modules in it and in its packages."""
        yield from self.modules.values()
        for package in self.packages.values():
            yield from package.walk()

    @property
    def path(self) -> str:
        """Its dotted name."""
        if self.parent is None:
            return ""
        return f"{self.parent.path}.{self.name}".lstrip(".")


@dataclass(eq=False)
class Definition:
    """A class or function of a module."""

    kind: str
    name: str
    line: int
    module: Module
    outer: Definition | None = None
    inner: list[Definition] = field(default_factory=list)


@dataclass(eq=False)
class Module:
    """A source file."""

    name: str
    file: Path
    package: Package
    words: Counter[str] = field(default_factory=Counter)
    definitions: list[Definition] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    imported: list[Module] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, name: str, package: Package) -> Module:
        """Read and take apart a source file."""
        source = file.read_text(encoding="utf-8", errors="replace")
        module = cls(name, file, package)
        for word, count in Counter(WORD.findall(source)).items():
            # JSONDecoder is also "json" and "decoder".
            parts = CAMEL.findall(word) if not word.islower() else ()
            for part in {word.lower(), *map(str.lower, parts)}:
                module.words[part] += count
        module._find_definitions(source)
        module._find_imports(source)
        return module

    def _find_imports(self, source: str) -> None:
        for match in IMPORT.finditer(source):
            origin, names, plain = match.groups()
            if plain is not None:
                self.imports.update(part.split()[0] for part in plain.split(",") if part.strip())
                continue
            if origin.startswith("."):
                inside = self.package.path.split(".")
                levels = len(origin) - len(origin.lstrip("."))
                base = inside[: len(inside) - levels + 1]
                origin = ".".join(filter(None, [*base, origin.lstrip(".")]))
            self.imports.add(origin)
            self.imports.update(f"{origin}.{name}" for name in re.findall(r"\w+", names))

    def _find_definitions(self, source: str) -> None:
        open_at: list[tuple[int, Definition]] = []
        line, counted = 1, 0
        for match in DEFINITION.finditer(source):
            indent = len(match[1].expandtabs())
            while open_at and open_at[-1][0] >= indent:
                open_at.pop()
            outer = open_at[-1][1] if open_at else None
            line, counted = line + source.count("\n", counted, match.start()), match.start()
            definition = Definition(match[2], match[3], line, self, outer)
            (outer.inner if outer else self.definitions).append(definition)
            open_at.append((indent, definition))
            self.words[match[3].lower()] += 5  # a name counts for more than a mention


class Index:
    """Which words stand in which modules, and how often."""

    def __init__(self) -> None:
        self.postings: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.lengths: dict[str, int] = {}
        self.words: dict[str, list[str]] = {}

    def add(self, module: Module) -> None:
        """Index a module, in place of its former self."""
        self.remove(module.name)
        for word, count in module.words.items():
            self.postings[word][module.name] = count
        self.lengths[module.name] = module.words.total()
        self.words[module.name] = list(module.words)

    def remove(self, name: str) -> None:
        """Forget a module."""
        self.lengths.pop(name, None)
        for word in self.words.pop(name, ()):
            del self.postings[word][name]

    def search(self, query: str, limit: int = 4) -> list[tuple[str, float]]:
        """The best modules for ``query``, ranked by BM25."""
        scores: Counter[str] = Counter()
        average = sum(self.lengths.values()) / max(len(self.lengths), 1)
        for word in WORD.findall(query.lower()):
            modules = self.postings.get(word, {})
            rarity = math.log(1 + (len(self.lengths) - len(modules) + 0.5) / (len(modules) + 0.5))
            for name, count in modules.items():
                weight = count + 1.2 * (0.25 + 0.75 * self.lengths[name] / average)
                scores[name] += rarity * count * 2.2 / weight
        return scores.most_common(limit)

    def to_json(self) -> str:
        """The index as JSON."""
        return json.dumps({"postings": self.postings, "lengths": self.lengths})

    @classmethod
    def from_json(cls, text: str) -> Index:
        """The index that ``to_json`` wrote."""
        content = json.loads(text)
        index = cls()
        index.postings.update(content["postings"])
        index.lengths = content["lengths"]
        for word, modules in index.postings.items():
            for name in modules:
                index.words.setdefault(name, []).append(word)
        return index


def read_tree(folder: Path, package: Package) -> None:
    """Read the modules in ``folder`` and below into ``package``."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            if entry.name not in IGNORED_FOLDERS and any(entry.glob("*.py")):
                read_tree(entry, package.package(entry.name))
        elif entry.suffix == ".py":
            own = package.path if entry.stem == "__init__" else f"{package.path}.{entry.stem}"
            name = own.lstrip(".")
            package.modules[name] = Module.read(entry, name, package)


def connect(library: Package) -> dict[str, Module]:
    """Link each module to those it imports."""
    modules = {module.name: module for module in library.walk()}
    for module in modules.values():
        found = (modules.get(name) for name in sorted(module.imports))
        module.imported = [each for each in found if each is not None and each is not module]
    return modules


def shortest_circle(start: Module) -> list[Module]:
    """The shortest way of imports from a module back to itself, if there is one."""
    came_from: dict[Module, Module] = {}
    waiting = deque([start])
    while waiting:
        module = waiting.popleft()
        for each in module.imported:
            if each is start:
                way = [module]
                while way[-1] is not start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if each not in came_from:
                came_from[each] = module
                waiting.append(each)
    return []


def edit(library: Package, index: Index, source: Path, names: tuple[str, ...]) -> int:
    """Read packages again; their former objects become garbage."""
    for name in names:
        library.packages.pop(name)
        package = library.package(name)
        read_tree(source / name, package)
        for module in package.walk():
            index.add(module)
    connect(library)
    return sum(1 for name in names for _ in library.packages[name].walk())


class Stopwatch:
    """Prints how long each step took."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def done(self, what: str) -> None:
        now = time.perf_counter()
        print(f"[{now - self.last:5.2f} s] {what}")
        self.last = now


def main() -> None:
    parser = argparse.ArgumentParser(description="Searches the standard library's source code.")
    parser.add_argument("query", nargs="*", default=QUERIES, help="words to look for")
    queries = parser.parse_args().query
    source = Path(sysconfig.get_path("stdlib"))
    watch = Stopwatch()

    library = Package("library")
    read_tree(source, library)
    modules = connect(library)
    definitions = sum(len(module.definitions) for module in modules.values())
    watch.done(f"read {len(modules)} modules with {definitions:,} top-level definitions")

    index = Index()
    for module in modules.values():
        index.add(module)
    watch.done(f"indexed {len(index.postings):,} words")

    for query in queries:
        found = ", ".join(f"{name} ({score:.1f})" for name, score in index.search(query))
        print(f"          {query!r}: {found or 'nothing'}")
    watch.done(f"searched {len(queries)} times")

    circles = [circle for module in modules.values() if (circle := shortest_circle(module))]
    longest = max(circles, key=len, default=[])
    names = " -> ".join(module.name for module in [*longest, *longest[:1]])
    watch.done(f"{len(circles)} modules import themselves by a detour; the longest: {names}")

    del modules, circles, longest, module
    again = sum(edit(library, index, source, EDITED) for _ in range(ROUNDS))
    watch.done(f"read {again} modules again after {ROUNDS} edits of {', '.join(EDITED)}")

    text = index.to_json()
    copy = Index.from_json(text)
    assert all(copy.search(query) == index.search(query) for query in queries)
    watch.done(f"wrote and read {len(text) / 1e6:.1f} MB of JSON; the copy gives the same answers")


if __name__ == "__main__":
    main()

"""The Rust side of wrasse."""

from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import NoReturn, NotRequired, TypedDict, final, type_check_only

@type_check_only
class Proof(TypedDict):
    collections: tuple[int, int, int]
    stock_collections: tuple[int, int, int]
    traced_starts: int

@type_check_only
class Holder(TypedDict):
    kind: str
    text: str
    references: int
    name: str | None
    type: NotRequired[str]
    function: NotRequired[str]
    file: NotRequired[str]
    line: NotRequired[int]

@type_check_only
class Others(TypedDict):
    type: str
    objects: int

@type_check_only
class ExplanationFields(TypedDict):
    type: str
    size: int
    references: int
    immortal: bool
    holders: list[Holder]
    others: list[Others]
    from_c: int
    text: str

@type_check_only
class ReasonFields(TypedDict):
    type: str
    alive: bool
    paths: list[str]
    cycle: str | None
    text: str

@type_check_only
class TypeRow(TypedDict):
    type: str
    objects: int
    shallow: int
    retained: int

@type_check_only
class LargeRow(TypedDict):
    type: str
    shallow: int
    retained: int
    path: str | None

@type_check_only
class ModuleRow(TypedDict):
    module: str
    retained: int

@type_check_only
class CycleRow(TypedDict):
    path: str
    cycles: int
    objects: int
    bytes: int
    unreachable: int

@type_check_only
class HeapFields(TypedDict):
    objects: int
    bytes: int
    unreachable_objects: int
    unreachable_bytes: int
    types: list[TypeRow]
    modules: list[ModuleRow]
    biggest: list[LargeRow]
    cycles: list[CycleRow]
    text: str

_Frames = tuple[tuple[str, int], ...]
_Amount = tuple[int, int]

@final
class Sums:
    def __new__(cls, view: str, /) -> Sums: ...
    def statistics(
        self, key: str, cumulative: bool, measure: str, /
    ) -> list[tuple[_Frames, int, int]]: ...
    def compare(
        self, old: Sums, key: str, cumulative: bool, measure: str, /
    ) -> list[tuple[_Frames, int, int, int, int]]: ...
    def threads(self, /) -> list[tuple[int, str, _Amount, _Amount, _Amount, _Amount]]: ...
    def groups(self, /) -> list[tuple[int, int, _Frames, int, int]]: ...
    def filtered(self, keep: bytes, /) -> Sums: ...
    def limit(self, /) -> int: ...
    def to_capture(self, /) -> bytes: ...
    @classmethod
    def of_capture(cls, content: bytes, /) -> Sums: ...

@type_check_only
class SizeClass(TypedDict):
    size: int
    pools: int
    blocks: int
    capacity: int
    bytes: int

@type_check_only
class AllocatorStats(TypedDict):
    blocks: int
    bytes: int
    committed: int
    kept: int
    given_back: int
    large_blocks: int
    large_bytes: int
    taken: int
    peak: int
    limit: int | None
    refused: int
    reserved: int
    classes: list[SizeClass]

@type_check_only
class GenerationStats(TypedDict):
    collections: int
    candidates: int
    collected: int
    uncollectable: int
    freed_bytes: int
    duration: float
    longest: float

@type_check_only
class GcStats(TypedDict):
    generations: list[GenerationStats]
    reasons: dict[str, int]
    freed_bytes: int
    pause_p50: float
    pause_p99: float
    pause_max: float
    duration: float
    time: float
    share: float
    nursery: int | None
    slices: int
    pause_target: float | None

__version__: str

@type_check_only
class TrackFields(TypedDict):
    allocated_bytes: int
    allocated_blocks: int
    freed_bytes: int
    freed_blocks: int
    net_bytes: int
    net_blocks: int
    peak_bytes: int

def boot(value: str, /) -> None: ...
def install(value: str, /) -> dict[str, object]: ...
def find_spec(name: str, path: object = None, target: object = None, /) -> ModuleSpec | None: ...
def create_module(spec: ModuleSpec, /) -> ModuleType | None: ...
def exec_module(module: ModuleType, /) -> None: ...
def status() -> dict[str, object]: ...
def gc_stats() -> GcStats: ...
def set_pause_target(milliseconds: float | None, /) -> None: ...
def proof() -> Proof: ...
def set_limit(size: int | str | None, /) -> None: ...
def allocator_stats() -> AllocatorStats: ...
def profile_traces() -> list[tuple[int, int, tuple[tuple[str, int], ...], int]]: ...
def look() -> None: ...
def refuse(message: str, /) -> NoReturn: ...
def write(path: str, text: str, /) -> str | None: ...
def main(
    argv: list[str], executable: str, orig_argv: list[str], site_directories: list[str], /
) -> int: ...
def explain(obj: object, limit: int, /) -> ExplanationFields: ...
def why_alive(obj: object, limit: int, /) -> ReasonFields: ...
def heap(limit: int, /) -> HeapFields: ...
def lines_watch(
    codes: tuple[CodeType, ...],
    last_line: int,
    stream: object,
    precision: int,
    shows_calls: bool,
    /,
) -> None: ...
def lines_forget(code: CodeType, /) -> bool: ...
def lines_table(code: CodeType, precision: int, /) -> str | None: ...
def lines_trace(on: bool, /) -> None: ...
def track_begin(frames: int, /) -> int: ...
def track_look(number: int, /) -> TrackFields: ...
def track_end(
    number: int, /
) -> tuple[TrackFields, list[tuple[_Frames, int, int, int, int]], str]: ...
def allocated_at(obj: object, /) -> tuple[int, _Frames] | None: ...
def size_in_bytes(size: int | str, /) -> int: ...
def metrics() -> list[tuple[str, str, str, str, list[tuple[str | None, float]]]]: ...
def metrics_text() -> str: ...
def on_signal(signal: int | str, directory: str, /) -> int: ...

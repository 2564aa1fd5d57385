"""``wrasse report``: the page, looked at in a browser, says what the other commands say."""

from __future__ import annotations

import base64
import gzip
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, missing
from command import wrasse

PROGRAM = """
import time

class Node:
    def __init__(self, parent=None):
        self.parent = parent
        self.children = []
        if parent is not None:
            parent.children.append(self)

def grow(depth, parent=None):
    node = Node(parent)
    if depth:
        for _ in range(3):
            grow(depth - 1, node)

kept = []
def keep():
    kept.extend(bytes(1000) for _ in range(3000))

def spike():
    return [bytes(2000) for _ in range(5000)]

keep()
held = spike()
time.sleep(0.05)
for _ in range(10):
    grow(6)
del held
"""
SPIKE = 22
KEEP = 19
VIEWS = [
    "summary",
    "findings",
    "timeline",
    "flame",
    "lines",
    "source",
    "types",
    "retained",
    "cycles",
]

REASON = missing()
# Where everything is to be tested, a browser that is missing is a failure and not a reason.
if os.environ.get("TESTS_NEED_BROWSER") == "1":
    assert REASON is None, REASON
needs_browser = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def make(folder: Path, program: str, *options: str) -> tuple[Path, Path]:
    """Run a program; its capture, and the report of that."""
    (folder / "app.py").write_text(program)
    capture, page = folder / "app.wrasse", folder / "report.html"
    result = wrasse("run", "--quiet", "-o", capture, *options, "app.py", cwd=folder)
    assert (result.code, result.err) == (0, "")
    result = wrasse("report", capture, "-o", page, cwd=folder)
    assert (result.code, result.out, result.err) == (0, "", "")
    return capture, page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("report"), PROGRAM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


def stats(capture: Path) -> dict[str, Any]:
    return json.loads(wrasse("stats", capture, "--json").out)


def table(capture: Path, *options: str) -> list[dict[str, Any]]:
    return json.loads(wrasse("table", capture, "--json", "-n", "100000", *options).out)["rows"]


def line_bytes(capture: Path, line: int, measure: str) -> int:
    rows = table(capture, "--measure", measure)
    of_line = [row for row in rows if row["frames"][0]["line"] == line]
    return sum(row["bytes"] for row in of_line if row["frames"][0]["file"].endswith("app.py"))


def size(count: int) -> str:
    """As the report writes it."""
    value, units = float(count), iter(["B", "KiB", "MiB", "GiB"])
    unit = next(units)
    while value >= 1023.95 or (unit == "B" and value >= 1024):
        value, unit = value / 1024, next(units)
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def test_what_cannot_be_done_is_said_in_one_line(made: tuple[Path, Path], tmp_path: Path) -> None:
    capture, page = made
    for options, expected in [
        ((tmp_path / "none.wrasse",), "cannot read"),
        ((page,), "not a capture file"),
        ((capture, "-o", tmp_path / "no" / "where.html"), "cannot write"),
        ((capture, "-o", capture), "would overwrite the capture"),
    ]:
        result = wrasse("report", *options)
        assert result.code == 2
        assert expected in result.err and result.err.count("\n") == 1
    assert stats(capture)["ending"] == "finished"


def test_one_file_that_asks_for_nothing(made: tuple[Path, Path]) -> None:
    capture, page = made
    text = page.read_text()
    assert wrasse("report", capture).out == text
    for word in ("src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket"):
        assert word not in text, word
    bare = wrasse("report", "--no-source", capture).out
    assert len(bare) < len(text)


def test_the_tree_of_calls(made: tuple[Path, Path]) -> None:
    capture, _ = made
    found = json.loads(wrasse("tree", capture, "--json", "-n", "100000").out)
    assert found["total_bytes"] == stats(capture)["peak_bytes"]
    calls = found["calls"]
    assert len(calls) == found["of"]
    # Before 3.12 a comprehension is a function of its own, called on the same line.
    spike = next(call for call in calls if (call["function"], call["line"]) == ("spike", SPIKE))
    assert spike["file"].endswith("app.py")
    assert spike["bytes"] == line_bytes(capture, SPIKE, "peak")
    assert (spike["function"], spike["depth"]) == ("spike", 1)
    above = calls[calls.index(spike) - 1]
    assert above["depth"] == 0 and above["line"] == SPIKE + 3
    shown = wrasse("tree", capture, "--by", "function", "-n", "3").out.splitlines()
    assert len(shown) == 1 + 3 + 1
    assert size(spike["bytes"]) in shown[2] and "  spike  " in shown[2]
    assert shown[4].startswith("and ") and shown[4].endswith(" smaller calls")


@needs_browser
def test_the_page_says_what_stats_and_table_say(
    made: tuple[Path, Path], browser: Browser, tmp_path: Path
) -> None:
    capture, page = made
    browser.open(page)
    facts = stats(capture)
    shown = browser.text("#view-summary")
    assert size(facts["peak_bytes"]) in shown
    assert f"{size(facts['end_bytes'])} in {facts['end_blocks']:,} blocks were left" in shown
    assert f"stopped the program {facts['pauses']['count']:,} times" in shown
    assert f"spike …/{page.parent.name}/app.py:{SPIKE}" in shown.replace("\n", " ")

    browser.click("#tab-lines")
    first = browser.text("#view-lines tbody tr")
    assert f"app.py:{SPIKE}" in first
    assert size(line_bytes(capture, SPIKE, "peak")) in first
    # The measure is changed where a person would, and the order follows.
    browser.click("#view-lines fieldset:nth-of-type(2) label:nth-of-type(2)")
    first = browser.text("#view-lines tbody tr")
    assert f"app.py:{KEEP}" in first
    assert size(line_bytes(capture, KEEP, "end")) in first

    browser.click("#tab-source")
    assert "app.py" in browser.text("#view-source [aria-selected=true]")
    keep = browser.text("#view-source #line-19").split()
    assert keep[:3] == ["19", *size(line_bytes(capture, KEEP, "end")).split()]
    assert "kept.extend(bytes(1000) for _ in range(3000))" in browser.text("#view-source #line-19")

    browser.click("#tab-timeline")
    drawn = browser.run("return report.timeline.live.length")
    assert drawn == len(facts["timeline"])
    picture = browser.run("return document.querySelector('#view-timeline svg').textContent")
    assert "highest sample " + size(facts["sampled_peak_bytes"]) in picture
    assert facts["pauses"]["count"] == browser.run("return report.timeline.pauses.length")
    assert browser.complaints() == []


@needs_browser
def test_every_view_draws_itself_in_both_colours(
    made: tuple[Path, Path], browser: Browser, tmp_path: Path
) -> None:
    browser.open(made[1])
    pictures: dict[str, bytes] = {}
    for theme in ("light", "dark"):
        if browser.run("return document.documentElement.dataset.theme") != theme:
            browser.click("#theme")
        for view in VIEWS:
            browser.click(f"#tab-{view}")
            assert browser.run("return location.hash") == f"#{view}"
            assert len(browser.text(f"#view-{view}")) > 20
            file = tmp_path / f"{view}-{theme}.png"
            pictures[f"{view} {theme}"] = browser.screenshot(file)
    assert len(set(pictures.values())) == 2 * len(VIEWS)
    for picture in pictures.values():
        width, height = struct.unpack(">II", picture[16:24])
        assert width > 1000 and height > 500
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


@needs_browser
def test_the_flame_graph_answers(made: tuple[Path, Path], browser: Browser) -> None:
    capture, page = made
    browser.open(page)
    browser.press("4")
    whole = stats(capture)["peak_bytes"]
    everything = browser.text("#view-flame .details")
    assert size(whole) in everything and "100 % of everything" in everything
    # The canvas shows something: it has more than a few colours.
    colours = browser.run(
        "const canvas = document.querySelector('canvas');"
        "const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        "const all = new Set(); for (let at = 0; at < data.length; at += 4)"
        " all.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]); return all.size"
    )
    assert colours > 5
    # A click on the second row looks closer, Escape goes back.
    browser.run(
        "const place = document.querySelector('canvas').getBoundingClientRect();"
        "document.querySelector('canvas').dispatchEvent(new MouseEvent('click',"
        " {clientX: place.left + 40, clientY: place.top + 30, bubbles: true}))"
    )
    assert "<module>" in browser.text("#view-flame .details")
    assert "<module>" in browser.text("#view-flame .crumbs")
    browser.press("\ue00c")
    assert browser.text("#view-flame .crumbs") == "everything"
    # The same by keys: down to the largest, and into it.
    browser.run("document.querySelector('.flame').focus()")
    browser.press("\ue015", "\ue015", "\ue007")
    assert f"app.py:{SPIKE + 3}" in browser.text("#view-flame .crumbs")
    browser.press("b")
    assert browser.run("return report.calls.groups[state.by].by") == "function"
    browser.press("/", "s", "p", "i", "k", "e")
    browser.wait("document.getElementById('flame-hits').textContent.includes('match')")
    part = line_bytes(capture, SPIKE, "peak") * 100 / whole
    found = browser.text("#flame-hits")
    assert f"{part:.0f} %" in found, found
    browser.press("\ue00c")
    assert browser.text("#flame-hits") == ""
    assert browser.complaints() == []


@needs_browser
def test_boxes_and_their_rests_add_up(made: tuple[Path, Path], browser: Browser) -> None:
    browser.open(made[1])
    assert browser.run(
        """
        return report.calls.groups.every((group, by) => report.measures.every((_, measure) => {
          const { size, hidden, children } = forest(by, group.only === undefined ? measure : 0);
          return size.every((bytes, node) =>
            children[node].reduce((sum, child) => sum + size[child], hidden[node]) <= bytes);
        }))
        """
    )


@needs_browser
def test_keys_and_names(made: tuple[Path, Path], browser: Browser) -> None:
    browser.open(made[1])
    browser.press("?")
    assert browser.run("return document.getElementById('keys').open")
    assert "search" in browser.text("#keys")
    browser.press("\ue00c")
    for number, view in enumerate(VIEWS, 1):
        browser.press(str(number))
        assert browser.run("return state.view") == view
    before = browser.run("return document.documentElement.dataset.theme")
    browser.press("t")
    assert browser.run("return document.documentElement.dataset.theme") != before
    # Every control can be told by its name.
    nameless = browser.run(
        """
        views.forEach((view) => change({ view: view.key }));
        return [...document.querySelectorAll("button, input, [tabindex], [role=img], svg")]
          .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()
            || each.labels?.length || each.closest("[aria-hidden]")))
          .map((each) => each.outerHTML.slice(0, 120))
        """
    )
    assert nameless == []


@needs_browser
def test_what_a_capture_lacks_is_said(made: tuple[Path, Path], browser: Browser) -> None:
    browser.open(made[1])
    for view, words in [
        ("findings", "wrasse doctor"),
        ("types", "wrasse run --heap"),
        ("retained", "wrasse run --heap"),
        ("cycles", "wrasse run --heap"),
    ]:
        browser.click(f"#tab-{view}")
        assert words in browser.text(f"#view-{view}")


def document(page: Path) -> dict[str, Any]:
    """What is in the page."""
    data = page.read_text().split('type="text/plain">')[1].split("</script>")[0]
    return json.loads(gzip.decompress(base64.b64decode(data)))


HEAP = (
    PROGRAM
    + """
class Session:
    def __init__(self):
        self.log = ["x" * 1000 + str(number) for number in range(100)]

cache = {"first": Session(), "second": Session()}
root = Node()
for _ in range(4):
    Node(root)
odd = {"<img src=x onerror='window.taken=1'>": [bytes(100_000)]}
import gc
gc.collect()
gc.disable()
for _ in range(7):
    job = Session()
    job.me = job
del job
"""
)


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("heap"), HEAP, "--heap")[1]


def below(node: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        [node] = [child for child in node["children"] if child["name"].startswith(name)]
    return node


def test_a_look_at_the_heap(looked: Path) -> None:
    found = document(looked)
    rows = {row["type"]: row for row in found["types"]}
    assert rows["__main__.Session"]["count"] == 2 + 7
    assert rows["__main__.Session"]["retained"] > (2 + 7) * 100 * 1000
    assert rows["__main__.Node"]["count"] == 5
    assert found["retained"]["bytes"] == sum(row["bytes"] for row in found["types"])
    main = below(found["retained"], "module __main__")
    first = below(main, ".cache  dict", "['first']  __main__.Session")
    assert 100_000 < first["bytes"] < 120_000
    assert below(first, ".log  list")["bytes"] > 100_000
    assert below(main, ".kept  list")["bytes"] > 3000 * 1000

    def check(node: dict[str, Any]) -> None:
        children = node.get("children", [])
        assert sum(child["bytes"] for child in children) <= node["bytes"], node["name"]
        for child in children:
            check(child)

    check(found["retained"])
    garbage = below(found["retained"], "what nothing reaches")
    assert garbage["bytes"] > 7 * 100 * 1000
    assert len([each for each in garbage["children"] if "Session" in each["name"]]) == 7
    [cycle] = [
        cycle
        for cycle in found["cycles"]
        if {node["type"] for node in cycle["nodes"]} == {"__main__.Node", "list"}
    ]
    assert sorted(edge["name"][0] for edge in cycle["edges"]) == [".", ".", "["]
    assert {".parent", ".children"} < {edge["name"] for edge in cycle["edges"]}


def typed(page: Path) -> dict[tuple[str, int], tuple[int, int]]:
    """Bytes and blocks at the end by type and line of the program."""
    found = document(page)
    strings = found["calls"]["strings"]
    [group] = [group for group in found["calls"]["groups"] if group["by"] == "type"]
    sums: dict[tuple[str, int], tuple[int, int]] = {}
    for row in group["rows"]:
        file, _, line, kind = group["names"][row["name"]]
        assert kind > 0
        if strings[file].endswith("app.py"):
            size, blocks = row["own"][0]
            sums[strings[kind - 1], line] = (size, blocks)
    return sums


def test_memory_at_the_end_is_told_apart_by_type(looked: Path) -> None:
    found = document(looked)
    [group] = [group for group in found["calls"]["groups"] if group["by"] == "type"]
    end = group["only"]
    assert found["measures"][end]["name"] == "live at the end"
    # All of it, each block once.
    whole = found["calls"]["whole"][end]
    rows = [row["own"][0] for row in group["rows"]]
    assert group["rest"]["rows"] == 0
    assert [sum(size for size, _ in rows), sum(blocks for _, blocks in rows)] == whole
    assert group["tree"]["bytes"][0][0] == whole[0]
    sums = typed(looked)
    empty = sys.getsizeof(b"")
    assert sums["bytes", KEEP] == (3000 * (1000 + empty), 3000)
    # The list's table of items was allocated where it grew.
    assert sums["list", KEEP][0] > 3000 * 8 and sums["list", KEEP][1] == 1
    # Of every Session the list of a hundred texts is left, those that wait for the collector too.
    [log] = [line for kind, line in sums if kind == "str" and sums[kind, line][1] == 9 * 100]
    assert sums["list", log][0] > 9 * 100 * 8
    # All but next to nothing is some object's.
    rest = sum(
        row["own"][0][0]
        for row in group["rows"]
        if found["calls"]["strings"][group["names"][row["name"]][3] - 1].startswith("(no object")
    )
    assert rest < whole[0] / 4, (rest, whole)


BLOCKS = """
class Plain:
    def __init__(self, number):
        self.number = number
        self.name = None

class Slotted:
    __slots__ = ("number",)

def plain(): return [Plain(complex(number)) for number in range(500)]
def slotted(): return [Slotted() for _ in range(500)]
def dicts(): return [dict(zip("abcdefgh", range(8))) for _ in range(500)]
def sets(): return [set(range(50)) for _ in range(500)]
def lent(): return [vars(each) for each in kept[0]]
kept = [plain(), slotted(), dicts(), sets()]
kept.append(lent())
"""


def test_each_block_is_of_its_object(tmp_path: Path) -> None:
    _, page = make(tmp_path, BLOCKS, "--heap")
    by_type: dict[str, tuple[int, int]] = {}
    for (kind, _), (size, blocks) in typed(page).items():
        before = by_type.get(kind, (0, 0))
        by_type[kind] = (before[0] + size, before[1] + blocks)
    size, blocks = by_type["__main__.Slotted"]
    assert (size, blocks) == (500 * (16 + 8 + 16), 500)
    # Attributes are in the object's block since 3.13, in one that its dict has before.
    assert 500 <= by_type["__main__.Plain"][1] <= 1000
    assert by_type["complex"] == (500 * sys.getsizeof(1j), 500)
    # Dicts and their tables, but for some dicts from the free list, which have its lines.
    table = sys.getsizeof(dict(zip("abcdefgh", range(8), strict=True))) - sys.getsizeof({})
    assert by_type["dict"][0] > 500 * table
    assert by_type["set"][0] > 500 * sys.getsizeof(set(range(50))) - 32 * 500
    rest = sum(size for kind, (size, _) in by_type.items() if kind.startswith("(no object"))
    assert rest < 30_000, by_type


def test_a_look_needs_a_capture_to_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('ran')")
    result = wrasse("run", "--heap", "app.py", cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert "--capture" in result.err and result.err.count("\n") == 1


@needs_browser
def test_the_heap_is_shown(looked: Path, browser: Browser) -> None:
    found = document(looked)
    browser.open(looked)
    browser.click("#tab-types")
    first = browser.text("#view-types tbody tr")
    assert found["types"][0]["type"] in first and size(found["types"][0]["bytes"]) in first
    browser.press("/", *"session")
    browser.wait("document.querySelectorAll('#view-types tbody tr').length === 1")
    row = browser.text("#view-types tbody")
    assert "__main__.Session" in row and "of" in browser.text("#view-types .rest")
    # The search opens the tree where it finds something.
    browser.click("#tab-retained")
    assert "['first']  __main__.Session" in browser.text("#view-retained")
    browser.press("\ue00c")
    browser.run("document.querySelector('.tree').focus()")
    browser.press("\ue015")
    assert "__main__" in browser.text("#view-retained [aria-selected=true] .label")
    browser.click("#tab-cycles")
    assert browser.run("return document.querySelectorAll('#view-cycles svg.graph').length") == len(
        found["cycles"]
    )
    names = browser.run(
        "return [...document.querySelectorAll('svg.graph text')].map((text) => text.textContent)"
    )
    assert {"Node", ".parent", ".children"} < set(names)
    assert browser.run("return document.images.length") == 0
    assert browser.run("return window.taken") is None
    assert browser.complaints() == []


HOSTILE = """
import linecache
name = "</script><img src=x onerror='window.taken=1'><b>\u202e.py"
code = "def f():\\n    return [bytes(1000) for _ in range(500)]\\nkept = f()\\n"
code = code.replace("f(", "f\u00e9(")
scope = {}
exec(compile(code, name, "exec"), scope)
"""


@needs_browser
def test_names_of_a_program_are_text(browser: Browser, tmp_path: Path) -> None:
    _, page = make(tmp_path, HOSTILE)
    browser.open(page)
    for view in VIEWS:
        browser.click(f"#tab-{view}")
    browser.run("openSource(report.calls.strings.findIndex((name) => name.includes('img')), 2)")
    assert "<img src=x" in browser.text("#view-source .path")
    assert "\u202e" not in browser.text("#view-source .path")
    assert browser.run("return document.images.length") == 0
    assert browser.run("return window.taken") is None
    assert browser.complaints() == []


OLDER = """
kept = []
def keep(count):
    kept.extend(bytes(1000) for _ in range(count))

def spare():
    kept.append(bytes(300_000))

class Shape:
    pass

def draw(count):
    kept.extend(Shape() for _ in range(count))

keep({keep})
draw({draw})
{spare}
"""
GROWS, SHRINKS = 4, 7
COMPARED = ["summary", "findings", "timeline", "flame", "lines", "tracebacks", "source", "types"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two captures of a program that was changed, and what they differ in as a page."""
    folder = tmp_path_factory.mktemp("compared")
    programs = [
        OLDER.format(keep=1000, draw=100, spare="spare()"),
        OLDER.format(keep=3000, draw=300, spare=""),
    ]
    captures = []
    for name, program in zip(("old", "new"), programs, strict=True):
        capture, _ = make(folder, program, "--heap")
        captures.append(capture.rename(folder / f"{name}.wrasse"))
    page = folder / "diff.html"
    result = wrasse("diff", *captures, "--html", page, cwd=folder)
    assert (result.code, result.out, result.err) == (0, "", "")
    return captures[0], captures[1], page


def test_a_comparison_holds_what_diff_says(compared: tuple[Path, Path, Path]) -> None:
    old, new, page = compared
    found = document(page)
    said = json.loads(
        wrasse("diff", old, new, "--json", "-n", "100000", "--measure", "end", "--by", "line").out
    )
    half = len(found["measures"])
    end = [measure["name"] for measure in found["measures"]].index("live at the end")
    assert found["calls"]["whole"][end][0] == said["new_bytes"]
    assert found["calls"]["whole"][half + end][0] == said["old_bytes"]
    group = found["calls"]["groups"][0]
    strings = found["calls"]["strings"]
    more = {}
    for row in group["rows"]:
        file, _, line, _ = group["names"][row["name"]]
        change = row["own"][end][0] - row["own"][half + end][0]
        if change or row["own"][end][1] != row["own"][half + end][1]:
            more[strings[file], line] = change
    expected = {
        (row["frames"][0]["file"], row["frames"][0]["line"]): row["bytes_more"]
        for row in said["rows"]
    }
    assert more == expected
    shapes = [row for row in found["compared"]["types"] if row["type"] == "__main__.Shape"]
    assert [row["count"] for row in shapes] == [[100, 300]]
    text = " ".join(found["words"])
    assert f"app.py:{GROWS}" in text and f"app.py:{SHRINKS} (in spare) shrank most" in text


def test_a_comparison_that_cannot_be_made(
    compared: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    old, new, _ = compared
    for options, expected in [
        ((old, tmp_path / "none", "--html", tmp_path / "a.html"), "cannot read"),
        ((old, new, "--html", new), "would overwrite the capture"),
        ((old, new, "--html", tmp_path / "no" / "a.html"), "cannot write"),
        ((old, new, "--html", tmp_path / "a.html", "--json"), "cannot be used with"),
        ((old, new, "--no-source"), "--html"),
    ]:
        result = wrasse("diff", *options)
        assert (result.code, result.out) == (2, "")
        assert expected in result.err and result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@needs_browser
def test_a_comparison_is_shown(
    compared: tuple[Path, Path, Path], browser: Browser, tmp_path: Path
) -> None:
    old, new, page = compared
    browser.open(page)
    more = line_bytes(new, GROWS, "peak") - line_bytes(old, GROWS, "peak")
    shown = browser.text("#view-summary .top-lines li")
    assert f"app.py:{GROWS}" in shown and f"+{size(more)}" in shown
    pictures = set()
    for theme in ("light", "dark"):
        if browser.run("return document.documentElement.dataset.theme") != theme:
            browser.click("#theme")
        for number, view in enumerate(COMPARED, 1):
            browser.press(str(number))
            assert browser.run("return state.view") == view
            assert len(browser.text(f"#view-{view}")) > 20
            pictures.add(browser.screenshot(tmp_path / f"{view}-{theme}.png"))
    assert len(pictures) == 2 * len(COMPARED)

    browser.click("#tab-lines")
    rows = browser.text("#view-lines tbody")
    less = line_bytes(old, SHRINKS, "peak") - line_bytes(new, SHRINKS, "peak")
    assert f"+{size(more)}" in rows and f"\N{MINUS SIGN}{size(less)}" in rows
    browser.click("#tab-tracebacks")
    assert f"app.py:{GROWS}" in browser.text("#view-tracebacks tbody tr")
    browser.click("#tab-types")
    assert "+200" in browser.run(
        "return [...document.querySelectorAll('#view-types tbody tr')]"
        ".find((row) => row.textContent.includes('__main__.Shape')).innerText"
    )

    browser.click("#tab-flame")
    assert browser.complaints() == []
    # What grew is red, what shrank is blue.

    def colours() -> Any:
        return browser.run(
            "const canvas = document.querySelector('canvas'); const all = [0, 0];"
            "const data = canvas.getContext('2d').getImageData(0, 0, canvas.width,"
            " canvas.height).data; for (let at = 0; at < data.length; at += 4) {"
            " if (data[at] > data[at + 2] + 60) all[0] += 1;"
            " if (data[at + 2] > data[at] + 60) all[1] += 1; } return all"
        )

    browser.run("theme('light')")
    side = "#view-flame fieldset:nth-of-type(3) label:nth-of-type({})"
    browser.click(side.format(3))
    red, blue = colours()
    assert red > 1000 and red > 10 * blue, (red, blue)
    browser.click(side.format(4))
    red, blue = colours()
    assert blue > 1000, (red, blue)

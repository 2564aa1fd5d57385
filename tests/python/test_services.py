"""Services: metrics for monitoring systems, and snapshots of a running process at a signal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from command import environment, python, wrasse

# --- Metrics -------------------------------------------------------------------------------------

PLAIN = """
import gc, sys, wrasse
gc.disable()  # no automatic collection before the first look
x = [[] for _ in range(1000)]
for each in x: each.append(each)
del x, each
before = wrasse.metrics()
then = [each["collections"] for each in wrasse.gc_stats()["generations"]] if len(before) > 1 else []
gc.collect()
kept = bytes(7_000_000)
after = wrasse.metrics()
print(sorted(after))
if "wrasse_gc_collections_total" in after:
    more = {k: v - before["wrasse_gc_collections_total"][k] for k, v in after["wrasse_gc_collections_total"].items()}
    assert more["2"] == 1, more
    taken = sum(after["wrasse_gc_objects_collected_total"].values())
    assert taken - sum(before["wrasse_gc_objects_collected_total"].values()) >= 1000
    assert after["wrasse_gc_pause_seconds_total"]["2"] > before["wrasse_gc_pause_seconds_total"]["2"]
    now = [each["collections"] for each in wrasse.gc_stats()["generations"]]
    assert list(more.values()) == [a - b for a, b in zip(now, then)], (more, now, then)
if "wrasse_allocator_bytes" in after:
    assert 6_500_000 < after["wrasse_allocator_bytes"] - before["wrasse_allocator_bytes"] < 7_100_000
if "wrasse_traced_bytes" in after:
    assert 6_500_000 < after["wrasse_traced_bytes"] - before["wrasse_traced_bytes"] < 7_100_000
assert after["wrasse_resident_bytes"] > 7_000_000
print(wrasse.metrics_text())
"""
GC = {
    f"wrasse_gc_{name}"
    for name in (
        "collections_total",
        "objects_collected_total",
        "objects_uncollectable_total",
        "pause_seconds_total",
        "longest_pause_seconds",
    )
}
ALLOCATOR = {
    f"wrasse_allocator_{name}"
    for name in (
        "bytes",
        "blocks",
        "committed_bytes",
        "kept_bytes",
        "taken_bytes",
        "peak_bytes",
        "refused_total",
    )
}
TRACED = {"wrasse_traced_bytes", "wrasse_traced_peak_bytes"}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", set()),
        ("gc", GC),
        ("1", GC | ALLOCATOR),
        ("1,trace,limit=1GiB", GC | ALLOCATOR | TRACED | {"wrasse_allocator_limit_bytes"}),
    ],
)
def test_metrics_are_those_of_the_parts_that_are_on(value: str, names: set[str]) -> None:
    result = python("-c", PLAIN, WRASSE=value)
    assert result.err == ""
    first, *text = result.out.splitlines()
    found = sorted({"wrasse_resident_bytes"} | names)
    assert first == str(found)
    assert [line.split()[2] for line in text if line.startswith("# TYPE")] == sorted(
        found, key=[line.split()[2] for line in text if line.startswith("# TYPE")].index
    )
    samples = [line for line in text if line and not line.startswith("#")]
    assert all(
        re.fullmatch(r'wrasse_\w+(\{generation="[012]"\})? [0-9.e-]+', line) for line in samples
    )


def test_prometheus() -> None:
    pytest.importorskip("prometheus_client")
    code = (
        "import gc, prometheus_client as p, wrasse\nfrom wrasse.exporters import PrometheusCollector\n"
        "registry = p.CollectorRegistry()\nregistry.register(PrometheusCollector())\ngc.collect()\n"
        "from prometheus_client.parser import text_string_to_metric_families as parse\n"
        "theirs = {m.name: m for m in parse(p.generate_latest(registry).decode())}\n"
        "ours = {m.name: m for m in parse(wrasse.metrics_text())}\n"
        "assert theirs.keys() == ours.keys(), (theirs.keys(), ours.keys())\n"
        "for name in ours:\n"
        "    a, b = theirs[name], ours[name]\n"
        "    assert (a.type, a.documentation) == (b.type, b.documentation)\n"
        "    assert [(s.name, s.labels) for s in a.samples] == [(s.name, s.labels) for s in b.samples]\n"
        "print(registry.get_sample_value('wrasse_gc_collections_total', {'generation': '2'}) >= 1)"
    )
    result = python("-c", code, WRASSE="1,trace")
    assert (result.out, result.err) == ("True\n", "")


def test_opentelemetry() -> None:
    pytest.importorskip("opentelemetry.sdk.metrics")
    code = (
        "import gc\nfrom opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "from wrasse.exporters import observe_with_opentelemetry\n"
        "reader = InMemoryMetricReader()\nmeter = MeterProvider(metric_readers=[reader]).get_meter('x')\n"
        "names = observe_with_opentelemetry(meter)\ngc.collect()\n"
        "data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics\n"
        "assert sorted(m.name for m in data) == sorted(names), (data, names)\n"
        "found = {m.name: m for m in data}\n"
        "points = found['wrasse.gc.collections'].data.data_points\n"
        "print(sorted(p.attributes['generation'] for p in points), max(p.value for p in points) >= 1)\n"
        "print(found['wrasse.resident.bytes'].unit, found['wrasse.gc.pause_seconds'].unit)"
    )
    result = python("-c", code, WRASSE="1,trace")
    assert result.err == ""
    assert result.out == "['0', '1', '2'] True\nBy s\n"


# --- Snapshots at a signal -----------------------------------------------------------------------

SERVICE = """
import sys, time
kept = [bytes(1_000_000) for _ in range(5)]
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def start(code: str, folder: Path, **changes: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def wait_for(folder: Path, count: int) -> list[Path]:
    for _ in range(1200):
        found = sorted(folder.glob("wrasse-*.wrasse"))
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{count} snapshots wanted: {list(folder.iterdir())}")


def hear(process: subprocess.Popen[str], words: str) -> None:
    """Read standard error until these words come: a file is there before it is told of."""
    assert process.stderr is not None
    patience = threading.Timer(60, process.kill)
    patience.start()
    try:
        for line in process.stderr:
            if words in line:
                return
    finally:
        patience.cancel()
    raise AssertionError(f"{words!r} was not said")


def live(path: Path) -> list[dict]:
    result = wrasse("table", path, "--measure", "end", "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)["rows"]


@pytest.mark.parametrize("value", ["1,snapshot=SIGUSR1", "snapshot=usr1", "trace=3,snapshot=10"])
def test_a_signal_writes_a_snapshot(tmp_path: Path, value: str) -> None:
    process = start(SERVICE, tmp_path, WRASSE=value)
    try:
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            hear(process, "wrasse: snapshot written to wrasse-")
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()
    found = sorted(tmp_path.glob("wrasse-*.wrasse"))
    assert len(found) == 3
    pattern = rf"wrasse-{process.pid}-\d{{8}}T\d{{6}}\.\d{{3}}Z(\.\d)?\.wrasse"
    assert all(re.fullmatch(pattern, path.name) for path in found)
    for path in found:
        row = live(path)[0]
        assert row["bytes"] >= 5_000_165 and row["frames"][0]["line"] == 3, row
        assert wrasse("stats", path).code == 0


def test_where_snapshots_go(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    process = start(
        SERVICE, tmp_path, WRASSE="snapshot=USR2", WRASSE_SNAPSHOTS=str(tmp_path / "there")
    )
    process.send_signal(signal.SIGUSR2)
    hear(process, "wrasse: snapshot written to ")
    assert len(list((tmp_path / "there").iterdir())) == 1
    (tmp_path / "there").rename(tmp_path / "gone")
    process.send_signal(signal.SIGUSR2)
    hear(process, "wrasse: no snapshot: ")
    process.terminate()
    process.wait()


def test_on_signal_in_a_program(tmp_path: Path) -> None:
    code = (
        "import os, signal, wrasse\nprint(wrasse.on_signal(signal.SIGUSR1, '.') == signal.SIGUSR1)\n"
        "x = bytes(3_000_000)\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os.kill(os.getpid(), signal.SIGUSR1); os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint(pid, wrasse.status()['profile'])\n"
        "for bad in 9, 'SIGKILL', 'SIGSEGV', 'SIGRTMIN+99', '':\n"
        "    try: wrasse.on_signal(bad)\n    except ValueError as error: print(error)\n"
    )
    result = python("-c", code, cwd=tmp_path)
    first, second, *errors = result.out.splitlines()
    assert first == "True" and second.endswith(" on")
    assert len(errors) == 5 and set(errors) == {
        "a signal is SIGUSR1, SIGUSR2, SIGHUP, SIGQUIT, SIGWINCH, SIGRTMIN+N, or its number"
    }
    found = sorted(tmp_path.glob("*.wrasse"))
    assert len(found) == 2
    assert any(f"-{second.split()[0]}-" in path.name for path in found)
    assert all(live(path)[0]["bytes"] >= 3_000_033 for path in found)


def test_many_signals_while_allocating(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "def work():\n    while True:\n        x = [[i] for i in range(1000)]; x.append(x)\n"
        "for _ in range(2): threading.Thread(target=work, daemon=True).start()\n"
        "print('ready', flush=True)\nwork()"
    )
    process = start(code, tmp_path, WRASSE="1,snapshot=SIGUSR1")
    for count in range(1, 16):
        process.send_signal(signal.SIGUSR1)
        found = wait_for(tmp_path, count)
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert all(live(path) for path in found[:3])


def test_misuse_is_one_line() -> None:
    result = python("-c", "print(1)", WRASSE="gc,snapshot=SIGKILL")
    assert result.out == "1\n" and len(result.err.splitlines()) == 1
    assert "'snapshot=SIGKILL': a signal is SIGUSR1" in result.err

"""Programs in the style of well-known packages' examples run under the doctor as without it, and it says nothing false."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_packages import NUMPY, PANDAS, SQLALCHEMY

PROMETHEUS = """
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

registry = CollectorRegistry()
requests = Counter("requests", "Requests", ["method", "page"], registry=registry)
latency = Histogram("latency_seconds", "Latency", ["page"], registry=registry)
for number in range(8000):
    requests.labels("get", f"/page/{number % 100}").inc()
    latency.labels(f"/page/{number % 100}").observe(number % 7 / 10)
print(sum(generate_latest(registry).count(b"/page/") for _ in range(5)))
"""

OPENTELEMETRY = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class Counting(SpanExporter):
    count = 0
    def export(self, spans):
        Counting.count += len(spans)
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Counting()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("example")
for number in range(1500):
    with tracer.start_as_current_span("outer", attributes={"number": number}) as span:
        span.add_event("begin")
        with tracer.start_as_current_span("inner"):
            pass
provider.shutdown()
print(Counting.count)
"""

SERVER = """
import asyncio

async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()

async def ask(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = 0
    for turn in range(20):
        writer.write(f"hello {number} {turn}\\n".encode())
        got += len(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return got

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(sum(await asyncio.gather(*(ask(port, number) for number in range(40)))))
    server.close()

asyncio.run(main())
"""

TABLES = """
import csv, io, sqlite3
import xml.etree.ElementTree as ET

buffer = io.StringIO()
writer = csv.DictWriter(buffer, ["number", "city"])
writer.writeheader()
writer.writerows({"number": number, "city": "abc"[number % 3]} for number in range(20000))
buffer.seek(0)
base = sqlite3.connect(":memory:")
base.execute("create table t (number int, city text)")
base.executemany("insert into t values (:number, :city)", csv.DictReader(buffer))
print(base.execute("select city, count(*) from t group by city").fetchall())
root = ET.Element("catalog")
for number in range(3000):
    ET.SubElement(root, "book", id=str(number)).text = f"Title {number}"
print(len(ET.fromstring(ET.tostring(root)).findall("book")))
"""

POOLS = """
import concurrent.futures, hashlib, multiprocessing

def work(number):
    return hashlib.sha256(bytes(number)).hexdigest()[:8]

if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(len(set(pool.map(work, range(2000)))))
    with multiprocessing.get_context("fork").Pool(2) as processes:
        print(len(set(processes.map(work, range(500)))))
"""

TESTS = """
import sys, unittest

names = ["test.test_bisect", "test.test_heapq", "test.test_textwrap"]
result = unittest.TestResult()
try:
    unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
except AttributeError:
    pass
print(len(result.failures))
sys.exit(3)
"""

PROGRAMS = {
    "numpy": NUMPY,
    "pandas": PANDAS,
    "sqlalchemy": SQLALCHEMY,
    "prometheus_client": PROMETHEUS,
    "opentelemetry": OPENTELEMETRY,
    "asyncio": SERVER,
    "sqlite3": TABLES,
    "multiprocessing": POOLS,
    "unittest": TESTS,
}


@pytest.mark.parametrize("package", PROGRAMS)
def test_a_program_runs_as_without_the_doctor_which_finds_nothing(
    package: str, tmp_path: Path
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: there may be no wheel for this interpreter")
    if package == "asyncio" and sys.version_info < (3, 12):
        pytest.skip("streams and transports of 3.11 are circles with a finalizer")
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[package])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WRASSE")}
    environment["PYTHONWARNINGS"] = "ignore"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words, str(program)]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    stock = run()
    assert stock.stdout and stock.returncode == (3 if package == "unittest" else 0), stock.stderr
    findings = tmp_path / "findings.json"
    examined = run("-m", "wrasse", "doctor", "--json", str(findings))
    told = json.loads(findings.read_text())["findings"]
    assert told == []
    assert (examined.stdout, examined.returncode) == (stock.stdout, stock.returncode)

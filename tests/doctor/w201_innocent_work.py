"""Lists whose items are at work while they are waited for, and loops that must be done first."""
import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

COUNT = 3_000
seen = 0


def work(n):
    return n * 3


def begin(pool, n):
    return pool.submit(work, n)


def futures():
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(work, n) for n in range(COUNT)]
        total = 0
        for future in started:
            total += future.result()
    return total


def by_a_function():
    with ThreadPoolExecutor(2) as pool:
        started = [begin(pool, n) for n in range(COUNT)]
        return sum(future.result() for future in started)


def in_a_loop():
    with ThreadPoolExecutor(2) as pool:
        started = []
        for n in range(COUNT):
            started.append(pool.submit(work, n))
        return sum([future.result() for future in started])


def by_name():
    with ThreadPoolExecutor(2) as pool:
        started = list(map(pool.submit, [int] * COUNT))
        return sum(future.result() for future in started)


async def later(n):
    await asyncio.sleep(0)
    return n


async def tasks():
    started = [asyncio.create_task(later(n)) for n in range(COUNT)]
    total = 0
    for task in started:
        total += await task
    return total


class Job(threading.Thread):
    def __init__(self, n):
        super().__init__()
        self.rows = [n] * 5_000
        self.start()

    def run(self):
        self.total = sum(self.rows)


def threads():
    jobs = [Job(n) for n in range(20)]
    total = 0
    for job in jobs:
        job.join()
        total += job.total
    return total


def processes():
    command = [sys.executable, "-S", "-c", "print(1)"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    return sum(int(each.communicate()[0]) for each in running)


def count(n):
    global seen
    seen += 1
    return f"row number {n}"


def numbered():
    rows = [count(n) for n in range(COUNT * 10)]
    size = 0
    for n, row in enumerate(rows):
        size += len(f"{row} ({n} of {seen})")
    return size


print(futures(), by_a_function(), in_a_loop(), by_name(), asyncio.run(tasks()))
print(threads(), processes(), numbered())

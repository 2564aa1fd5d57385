"""Caches with a bound, tables that are built once, buffers that are emptied again."""

from collections import deque
from functools import lru_cache

recent = deque(maxlen=50)
buffer = []
table = {}


def build():
    built = {}
    for number in range(3000):
        built[number] = bytes(1000)
    return built


@lru_cache(maxsize=100)
def answer(number):
    return bytes(2000 + number % 10)


def handle(number):
    request = bytes(2000)
    recent.append(request + b"x")
    buffer.append(request + b"y")
    if len(buffer) == 500:
        buffer.clear()
    answer(number)
    return len(request) + len(table[number % 3000])


table = build()
for number in range(8000):
    handle(number)

"""Circles without an attribute that names its owner: a bound method, a closure, a table of handlers."""

import gc

gc.disable()


class Widget:
    def __init__(self, size):
        self.pixels = bytearray(size)
        self.handlers = {"click": self.on_click}

    def on_click(self):
        return len(self.pixels)


def show(size):
    return Widget(size).handlers["click"]()  # expect: W101 bytes~=300 * (2000 + 58 + 500)


def walker(depth):
    seen = bytes(3000)

    def walk(level):  # expect: W101 bytes~=100 * (3000 + 33 + 330)
        return len(seen) if level == 0 else walk(level - 1)

    return walk


for _ in range(300):
    show(2000)

work = [walker]
for _ in range(100):
    work[0](3)(3)

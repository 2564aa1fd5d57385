"""Children know their parents, and the other way round."""

import gc
import sys

PAYLOAD = 4000
EACH = sys.getsizeof(bytes(4000)) + 250  # an instance, a list of one, and their attributes

gc.disable()


class Parent:
    def __init__(self):
        self.children = []


class Child:
    def __init__(self, parent):
        self.parent = parent
        self.data = bytes(PAYLOAD)


def family():
    parent = Parent()  # expect: W101 bytes~=200 * EACH
    parent.children.append(Child(parent))


for _ in range(200):
    family()

"""The same aid, for a look around, and taken out again before any work is done."""

import gc

gc.set_debug(gc.DEBUG_SAVEALL)
gc.collect()
gc.garbage.clear()
gc.set_debug(0)


class Node:
    def __init__(self):
        self.itself = self
        self.data = bytes(2000)


for _ in range(50):
    Node()
gc.collect()
assert not gc.garbage

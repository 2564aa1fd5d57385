"""A debugging aid that was left in: everything that is found is kept."""

import gc

gc.set_debug(gc.DEBUG_SAVEALL)


class Node:
    def __init__(self):
        self.itself = self
        self.data = bytes(2000)


for _ in range(50):
    Node()  # expect: W103 bytes~=50 * (2033 + 110)
gc.collect()

"""A ring of nodes, which nobody opens."""

import gc

gc.disable()


class Node:
    __slots__ = ("data", "next", "previous")

    def __init__(self, data):
        self.data = data
        self.next = self.previous = self


def ring(length):
    first = Node(bytes(1000))  # expect: W101 bytes~=40 * 20 * (1033 + 64)
    for _ in range(length - 1):
        node = Node(bytes(1000))
        node.previous, node.next = first.previous, first
        first.previous.next = node
        first.previous = node
    return sum(1 for _ in walk(first))


def walk(first):
    node = first
    while True:
        yield node
        node = node.next
        if node is first:
            return


for _ in range(40):
    assert ring(20) == 20

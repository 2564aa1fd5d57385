"""Back references that are weak, circles that are opened, and circles that are too small to matter."""

import weakref


class Child:
    def __init__(self, parent):
        self._parent = weakref.ref(parent)
        self.data = bytes(4000)

    @property
    def parent(self):
        return self._parent()


class Parent:
    def __init__(self):
        self.children = [Child(self)]


class Connection:
    def __init__(self):
        self.data = bytearray(4000)
        self.callback = self.receive

    def receive(self):
        return len(self.data)

    def close(self):
        del self.callback


class Small:
    def __init__(self):
        self.me = self


def work():
    parent = Parent()
    assert parent.children[0].parent is parent
    connection = Connection()
    connection.callback()
    connection.close()


for _ in range(300):
    work()
for _ in range(100):
    Small()


class Tree:
    """Lives to the end: a circle, and no garbage."""

    def __init__(self, parent=None):
        self.parent = parent
        self.data = bytes(4000)
        self.children = []


root = Tree()
for _ in range(300):
    root.children.append(Tree(root))

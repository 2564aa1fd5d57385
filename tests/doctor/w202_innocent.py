"""Copies that are needed."""
import collections


class Node:
    def __init__(self, parent):
        self.parent = parent
        self.children = []

    def detach(self):
        self.parent.children.remove(self)


def prune():
    root = Node(None)
    root.children = [Node(root) for _ in range(300)]
    # detach() changes what is iterated over.
    for child in list(root.children):
        child.detach()
    return len(root.children)


waiting = collections.OrderedDict((n, n * 7) for n in range(70_000))


def finish(key):
    del waiting[key]


def finish_all():
    for key in list(waiting):
        finish(key)
    return len(waiting)


def ordered(values):
    for value in sorted(values):
        if value < 0:
            return value
    return None


def backwards(count):
    return sum(1 for _ in reversed(list(map(str, range(count)))))


def twice(count):
    texts = list(map(str, range(count)))
    return max(map(len, texts)) - min(map(len, texts))


print(prune(), finish_all(), ordered({n * 3 for n in range(70_000)}), backwards(70_000), twice(70_000))

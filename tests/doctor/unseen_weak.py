"""Objects that register themselves weakly, and callbacks by weak method: they go when they are done with."""
import weakref


class Registry:
    def __init__(self):
        self.by_name = weakref.WeakValueDictionary()
        self.listeners = weakref.WeakSet()

    def add(self, thing):
        self.by_name[thing.name] = thing
        self.listeners.add(thing)


class Thing:
    def __init__(self, registry, name):
        self.name = name
        self.data = bytes(3000)
        registry.add(self)


registry = Registry()


def main():
    recent = []
    for number in range(5000):
        recent.append(Thing(registry, f"thing {number}"))
        if len(recent) > 20:
            recent.pop(0)
    print(len(registry.by_name), len(registry.listeners))


main()

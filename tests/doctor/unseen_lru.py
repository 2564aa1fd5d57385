"""A cache as people write it themselves, with eviction; hit often, never larger than it should be."""
from collections import OrderedDict


class LRU:
    def __init__(self, capacity):
        self.capacity = capacity
        self._data = OrderedDict()
        self.hits = self.misses = 0

    def get(self, key, load):
        try:
            value = self._data.pop(key)
            self.hits += 1
        except KeyError:
            value = load(key)
            self.misses += 1
            if len(self._data) >= self.capacity:
                self._data.popitem(last=False)
        self._data[key] = value
        return value


pages = LRU(400)


def load(key):
    return bytes(4000) + str(key).encode()


def serve(count):
    size = 0
    for n in range(count):
        size += len(pages.get(n * n % 1009 if n % 3 else n, load))
    return size


print(serve(12_000), pages.hits > 0)

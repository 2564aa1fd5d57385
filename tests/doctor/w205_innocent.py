"""Functions whose lists are needed by one caller, or kept by somebody."""

KEPT = []


def load(count):
    return [f"entry number {n:08d}" for n in range(count)]


def pick(count):
    return load(count)[count // 2]


def width(count):
    return max(len(text) for text in load(count))


def pairs(count):
    found = []
    for n in range(count):
        found.append((n, n * 3))
    if count < 10:
        return []
    return found


def lazily(count):
    for n in range(count):
        yield n, n * 3


print(pick(30_000), width(30_000))
print(sum(b for a, b in pairs(30_000)), sum(b for a, b in lazily(30_000)))

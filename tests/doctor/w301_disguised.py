"""The variable is bound by unpacking, used in a function that shadows it, and dead when the work begins."""
import sys


def load(count):
    return [float(n) + 0.5 for n in range(count)], count


def total(data):
    return sum(data) / len(data)


data, count = load(100_000)  # expect: W301 bytes~=100_000 * (24 + 8.5)
print(total(data), count)

chunks = []
for n in range(30_000):
    chunks.append(bytes(100) + n.to_bytes(4, "big"))
print(len(chunks), chunks[3], sys.version_info[0])

"""Default values that hold much and do not change, and one that is made anew."""


def look(n, table={k: f"entry {k:012d}" for k in range(12_000)}):
    return table[n]


def collect(n, found=None):
    if found is None:
        found = []
    found.append(f"found {n:012d}")
    return found


def sample(n, values=[f"value {k:012d}" for k in range(12_000)]):
    values = values[:n]
    values.append("last")
    return len(values)


for n in range(10_000):
    look(n)
    collect(n)
print(sample(5))

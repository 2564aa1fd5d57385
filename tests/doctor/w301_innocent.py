"""Globals that are used: by functions, in a loop, at the end, or replaced."""

table = [f"row number {n:010d}" for n in range(30_000)]
index = {}
rows = [f"entry {n:010d}" for n in range(30_000)]
once = [f"once {n:010d}" for n in range(30_000)]
print(len(once), once[0])
once = None


def look(n):
    return table[n % len(table)]


for n in range(60_000):
    index[n] = look(n) + rows[n % 100]
    if n % 10_000 == 0:
        print(len(rows), index[n])

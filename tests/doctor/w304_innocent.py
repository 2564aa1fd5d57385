"""Large variables that are used to the end, in a loop, by a closure, or let go of."""


def to_the_end():
    lines = [f"line number {n:010d}" for n in range(30_000)]
    table = {}
    for n in range(30_000):
        table[n] = f"entry {n:012d}"
    return len(table) + len(lines) + len(lines[0])


def in_a_loop():
    lines = [f"line number {n:010d}" for n in range(30_000)]
    table = {}
    for n in range(3):
        print(lines[n], len(lines))
        for m in range(30_000):
            table[n, m] = f"entry {m:012d}"
    return len(table)


def by_a_closure():
    lines = [f"line number {n:010d}" for n in range(30_000)]

    def last():
        return lines[-1]

    table = {n: f"entry {n:012d}" for n in range(60_000)}
    return len(table), last()


def let_go():
    lines = [f"line number {n:010d}" for n in range(30_000)]
    count = len(lines) + len(lines[0])
    del lines
    table = {n: f"entry {n:012d}" for n in range(60_000)}
    return len(table) + count


print(to_the_end(), in_a_loop(), by_a_closure(), let_go())

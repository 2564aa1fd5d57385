import sys


def run():
    lines = [f"line number {n:010d}" for n in range(60_000)]  # expect: W304 bytes~=60_000 * (LINE + 8.5)
    longest = max(map(len, lines)) + len(lines)
    table = {}
    for n in range(60_000):
        table[n] = f"entry {n:012d}"
    return longest, table


print(run()[0])
LINE = sys.getsizeof("line number 0000000000")

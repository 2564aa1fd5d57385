import sys


def collect(number, found=[]):
    found.append(f"found {number:012d}")  # expect: W303 bytes~=12_000 * (EACH + 8.5)
    return len(found)


for n in range(12_000):
    collect(n)
EACH = sys.getsizeof("found 000000000000")

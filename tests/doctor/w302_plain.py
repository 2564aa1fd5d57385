import sys

CACHE = {}


def describe(number):
    if number not in CACHE:
        CACHE[number] = f"a description of {number:012d}"  # expect: W302 bytes~=30_000 * (EACH + 28) + DICT
    return CACHE[number]


for n in range(30_000):
    describe(n + 1000)

EACH = sys.getsizeof("a description of 000000000000")
DICT = sys.getsizeof(dict.fromkeys(range(30_000)))

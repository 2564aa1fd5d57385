"""A method, a dict, an item assignment, and a parameter among others."""
import sys


class Parser:
    def parse(self, text, strict=True, seen={}, *, depth=0):
        if text in seen and strict:
            return seen[text]
        seen[text] = depth  # expect: W303 bytes~=10_000 * EACH + DICT
        return depth


parser = Parser()
for n in range(10_000):
    parser.parse(f"some text {n:012d}")
EACH = sys.getsizeof("some text 000000000000")
DICT = sys.getsizeof(dict.fromkeys(map(str, range(10_000))))

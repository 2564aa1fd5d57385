"""Parsed from JSON into dicts: the values of one field are the same few words, the others differ."""
import io
import json
import sys


def records(count):
    lines = "\n".join(json.dumps({"id": n, "name": f"name {n:08d}", "country": "country %02d" % (n % 30)}) for n in range(count))
    found = []
    for line in io.StringIO(lines):
        found.append(json.loads(line))
    return found


class Cell:
    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text


def cells(count):
    # Slices are copies: each is a new string.
    source = "alpha beta  gamma delta "
    return [Cell(source[n % 4 * 6:n % 4 * 6 + 6]) for n in range(count)]  # expect: W502 bytes~=60_000 * EACH


kept = cells(60_000)
# From here on nothing grows.
for n in range(200_000):
    str(n) * 20
print(kept[0].text, kept[-1].text, len(records(200)))
EACH = sys.getsizeof("alpha ")

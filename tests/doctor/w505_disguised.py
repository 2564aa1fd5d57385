"""A property that makes its version anew for each record, as a named tuple; and coordinates as keys of many small dicts."""
import sys
from typing import NamedTuple


class Version(NamedTuple):
    major: int
    minor: int
    patch: int


class Package:
    __slots__ = ("name", "version")

    def __init__(self, name, text):
        self.name = name
        self.version = self.parse(text)

    @staticmethod
    def parse(text):
        major, minor, patch = text.split(".")
        return Version(int(major), int(minor), int(patch))  # expect: W505 bytes~=50_000 * EACH


def packages(count):
    return [Package(f"package {n:08d}", f"{n % 3}.{n % 7}.0") for n in range(count)]


known = packages(50_000)
# From here on nothing grows.
for n in range(200_000):
    str(n) * 20
print(known[0].version, known[-1].version, len({package.name for package in known}))
EACH = sys.getsizeof((1, 2, 3))

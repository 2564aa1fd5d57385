# where: NOW = traced("import dataclasses\n@dataclasses.dataclass\nclass E:\n a: int\n b: str\n c: float\n d: object = None", "E(1, 'b', 2.5)")
"""A dataclass, a subclass of it, and a dict that keeps them."""
import dataclasses


@dataclasses.dataclass  # expect: W501 bytes~=40_000 * (NOW - 64)
class Event:
    number: int
    name: str
    value: float
    parent: object = None


def load(count):
    return {n: Event(1, "event", 2.5) for n in range(count)}


class Rare(Event):
    pass


events = load(40_000)
rare = [Rare(n, "rare", 1.5) for n in range(50)]
print(len(events), rare[0])

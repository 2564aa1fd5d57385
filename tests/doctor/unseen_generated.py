"""Orders as dataclasses, all kept: their lists are made in an __init__ that nobody has written."""
# where: SETUP = "from dataclasses import dataclass, field\n@dataclass(slots=True)\nclass Order:\n    number: int\n    articles: list = field(default_factory=list)\n    notes: list = field(default_factory=list)\n    log: bytearray = field(default_factory=bytearray)"

from dataclasses import dataclass, field


class Desk:
    def __init__(self):
        self.orders = {}

    def take(self, number):
        order = Order(number)  # expect: W401 bytes~=40_000 * traced(SETUP, "Order(i)")
        self.orders[number] = order
        return len(order.notes)


@dataclass(slots=True)
class Order:
    number: int
    articles: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    log: bytearray = field(default_factory=bytearray)


desk = Desk()


def serve():
    print(sum(desk.take(number) for number in range(40_000)))


serve()

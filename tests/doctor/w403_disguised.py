"""Orders in a dict of an object, made by handlers of several kinds; a lookup goes on beside it."""
import sys


class Order:
    __slots__ = ("number", "note")

    def __init__(self, number, note):
        self.number = number
        self.note = note


class Shop:
    def __init__(self):
        self.orders = {}
        self.handlers = [self.phone, self.letter, self.mail, self.counter]

    def phone(self, number):
        self.keep(Order(number, f"by phone {number:09d}" + "-" * 400))  # expect: W403 bytes~=6000 * (48 + NOTE + 28)

    def letter(self, number):
        self.keep(Order(number, f"by letter {number:08d}" + "-" * 400))

    def mail(self, number):
        self.keep(Order(number, f"by mail {number:010d}" + "-" * 400))

    def counter(self, number):
        self.keep(Order(number, f"at counter {number:07d}" + "-" * 400))

    def keep(self, order):
        self.orders[order.number] = order

    def status(self, number):
        return self.orders[number].note[:8]


shop = Shop()


def main():
    number = 1000
    for handler in shop.handlers:
        for _ in range(1500):
            handler(number)
            shop.status(number)
            number += 1
    print(len(shop.orders))


main()
NOTE = sys.getsizeof("by phone 000000000" + "-" * 400)

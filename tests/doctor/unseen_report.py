"""A report's methods, of which one builds a list only to add it up."""
import statistics


class Sales:
    def __init__(self, count):
        self.count = count

    def prices(self):
        for n in range(self.count):
            yield n * 1.5

    def total(self):
        return sum([price * 1.2 for price in self.prices()])  # expect: W201 bytes~=150_000 * (24 + 8.5)

    def middle(self):
        prices = [price * 1.2 for price in self.prices()]
        return statistics.median(prices), prices[0]

    def __str__(self):
        return ", ".join(["total", f"{self.total():.0f}", f"{self.middle()}"])


if __name__ == "__main__":
    print(Sales(150_000))

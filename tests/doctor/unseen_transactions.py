"""A context manager that notes each transaction on its class, for a debug view that nobody opens."""
import contextlib


class Transaction:
    history = []

    def __init__(self, name):
        self.name = name
        self.statements = []

    def execute(self, statement):
        self.statements.append(statement)
        return len(statement)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        type(self).history.append(f"{self.name}: " + "; ".join(self.statements))  # expect: W401 bytes~=5000 * (49 + 26 + 3 * 100 + 4)
        return False


@contextlib.contextmanager
def timed(totals):
    totals["calls"] = totals.get("calls", 0) + 1
    yield totals


def transfer(number, totals):
    with timed(totals), Transaction(f"transfer number {number:08d}") as transaction:
        for step in range(3):
            transaction.execute(f"{step} {number:08d} " + "x" * 89)


def main():
    totals = {}
    for number in range(5000):
        transfer(number, totals)
    print(totals)


main()

"""Errors are collected for a report, and their tracebacks keep the rows that were read with them."""

import sys

ROWS = 2000
CHUNKS = 30


class Report:
    def __init__(self):
        self.failures = []
        self.sizes = []

    def add(self, row):
        self.sizes.append(len(row) * 1000)


def parse(row):
    if row.endswith("!"):
        raise ValueError(row)
    return row.split(";")


def read(number):
    rows = [f"{number:04};{row:04};text" for row in range(ROWS)]
    rows[number] += "!"
    return rows


def work(number, report):
    rows = read(number)
    for row in rows:
        try:
            report.add(parse(row))  # expect: W104 bytes~=CHUNKS * ROWS * EACH
        except ValueError as error:
            report.failures.append(error)


def main():
    report = Report()
    for number in range(CHUNKS):
        work(number, report)
    print(len(report.failures), sum(report.sizes))


# A text, its place in the list, and a thirtieth for what frames and tracebacks take.
EACH = sys.getsizeof("0000;0000;text") + 8.5
main()

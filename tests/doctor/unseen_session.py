"""A method's answers in a cache: it keeps every report that was ever asked."""

from functools import lru_cache


class Report:
    def __init__(self, number):
        self.lines = ["report %d, line %d" % (number, line) for line in range(40)]  # expect: W401 bytes~=1500 * (traced("", "['report %d, line %d' % (i, line) for line in range(40)]") + 180)

    @lru_cache(maxsize=None)
    def width(self):
        return max(len(line) for line in self.lines)


def main():
    widest = 0
    for number in range(1000, 2500):
        report = Report(number)
        widest = max(widest, report.width(), report.width())
    print(widest)


main()

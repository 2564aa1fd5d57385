"""What variables of `main()` hold and need: batches, a window, what was seen, results of two kinds.

One refers to the module's own names, which are not its to keep.
"""

from collections import deque

states = []


class Report:
    def __init__(self):
        self.rows = []
        self.names = {}

    def add(self, number):
        self.rows.append(b"%08d" % number * 12)
        self.names[number] = f"row {number:08d}"

    def longest(self):
        longest = b""
        for row in self.rows:
            if len(row) > len(longest):
                longest = row
        return longest, self.names[7]


class Crawler:
    def __init__(self):
        self.seen = set()
        self.batch = []
        self.sent = 0

    def visit(self, number):
        url = f"https://example.org/articles/{number * 7919 % 40000:06d}"
        if url in self.seen:
            return
        self.seen.add(url)
        self.batch.append(url + "/index.html")
        if len(self.batch) >= 5000:
            self.flush()

    def flush(self):
        self.sent += len(self.batch)
        self.batch = []


def main():
    names = globals()
    report = Report()
    crawler = Crawler()
    window = deque(maxlen=100)
    lines = []
    known = set()
    for number in range(30_000):
        report.add(number)
        crawler.visit(number)
        window.append(bytes(2000))
        states.append(bytearray(number % 500))
        lines.append(f"line {number:08d} of the text that is written at the end")
        key = f"key {number * 31 % 29_989:06d}"
        if key not in known:
            known.add(key)
    print(report.longest(), crawler.sent, len(window), len(known))
    print(len("\n".join(lines)), len(names), len(states))
    states.clear()


main()

"""The variable is a parsed document in a method, dead while another method is at work."""
import json


class Report:
    def __init__(self, count):
        self.text = json.dumps([[n, n + 0.25] for n in range(count)])

    def make(self):
        # Each row: a list of 56 with room for four items where the parser made it (32 more), an int (28), a float (24).
        rows = json.loads(self.text)  # expect: W304 bytes~=20_000 * (56 + 32 + 28 + 24 + 8.5)
        total = sum(row[1] for row in rows) + len(rows)
        return self.render(total)

    def render(self, total):
        parts = []
        for n in range(30_000):
            parts.append(f"{n:010d}: {total:20.3f}")
        return parts


report = Report(20_000)
print(report.make()[3])

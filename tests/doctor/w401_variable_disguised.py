"""A service whose object only a variable of `run()` refers to: its journal is written, counted, and never read."""

from dataclasses import dataclass, field


@dataclass
class Journal:
    entries: list = field(default_factory=list)

    def note(self, what, body):
        self.entries.append((what, body))


class Service:
    def __init__(self, name):
        self.name = name
        self.journal = Journal()
        self.handled = 0

    def handle(self, number):
        body = b"%06d" % number + bytes(1500)
        answer = body[::-1]  # expect: W401 bytes~=4000 * (1506 + 33 + 72)
        self.journal.note(b"handled", answer)
        self.handled += 1
        return len(answer)

    def status(self):
        return f"{self.name}: {self.handled} of {len(self.journal.entries)}"


def serve(service, count):
    total = 0
    for number in range(count):
        total += service.handle(number)
        if number % 1000 == 0:
            print(service.status())
    return total


def run():
    service = Service("mirror")
    print(serve(service, 4000))


run()

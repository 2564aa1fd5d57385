"""A history whose entries know the one before: to each leads a path as long as the work that came after it."""


class Entry:
    __slots__ = ("before", "number")

    def __init__(self, number, before):
        self.number = number
        self.before = before


def note(count):
    latest = None
    for number in range(count):
        latest = Entry(number, latest)
    return latest


def highest(entry):
    found = entry.number
    while entry is not None:
        if entry.number > found:
            found = entry.number
        entry = entry.before
    return found


history = note(200_000)
print(highest(history))

"""Objects of one type from many lines: some are removed, some are read when all are there, some are a function's own."""
from collections import deque


class Item:
    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text


recent = deque(maxlen=50)
collected = []
waiting = {}


def first(number):
    recent.append(Item(f"first {number:08d}" + "." * 300))
    waiting[number] = Item(f"first {number:08d}" + "." * 300)


def second(number):
    recent.append(Item(f"second {number:07d}" + "." * 300))
    waiting[number] = Item(f"second {number:07d}" + "." * 300)


def third(number):
    recent.append(Item(f"third {number:08d}" + "." * 300))
    waiting[number] = Item(f"third {number:08d}" + "." * 300)


def finish(number):
    waiting.pop(number - 20, None)


def gather(kind, number):
    if kind == 0:
        collected.append(Item(f"one {number:010d}" + "." * 300))
    elif kind == 1:
        collected.append(Item(f"two {number:010d}" + "." * 300))
    else:
        collected.append(Item(f"three {number:08d}" + "." * 300))


def total():
    return sum(len(item.text) for item in collected)


def own():
    mine = []
    for number in range(1500):
        mine.append(Item(f"mine {number:09d}" + "." * 300))
    for number in range(1500):
        mine.append(Item(f"more {number:09d}" + "." * 300))
    return mine[-1].text[:4], len(mine)


def main():
    for step in (first, second, third):
        for number in range(1500):
            step(number)
            finish(number)
    for kind in range(3):
        for number in range(3000):
            gather(kind, number)
    print(total(), own(), len(waiting), len(recent))


main()

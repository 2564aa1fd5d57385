"""Comprehensions that are needed."""


def numbers(count):
    return range(10_000, 10_000 + count)


def mean(count):
    values = [n * 3 for n in numbers(count)]
    return sum(values) / len(values)


def spread(count):
    values = [n * 3 for n in numbers(count)]
    return max(values) - min(values)


def middle(count):
    values = [n * 3 for n in numbers(count)]
    return values[count // 2]


def text(count):
    # str.join makes a list of whatever it gets.
    return len("".join([str(n) for n in numbers(count)]))


def without_odd(count):
    table = {n: n for n in numbers(count)}
    # The list protects the loop from what it does.
    for key in [key for key in table if key % 2]:
        del table[key]
    return len(table)


def often(count):
    values = [n * 3 for n in numbers(count)]
    return [sum(values) for _ in range(3)][-1]


def perhaps(count):
    values = [n * 3 for n in numbers(count)]
    if count > 10:
        return sum(values)
    return 0


def later(count):
    values = [n * 3 for n in numbers(count)]
    return lambda: sum(values)


def already_lazy(count):
    return sum(n * 3 for n in numbers(count))


def small():
    return sum([n * 3 for n in range(100)])


print(mean(60_000), spread(60_000), middle(60_000), text(60_000), without_odd(60_000))
print(often(60_000), perhaps(60_000), later(60_000)(), already_lazy(60_000), small())

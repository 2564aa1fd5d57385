"""Two loops that are right."""


def shares(count):
    total, values = 0, []
    values = []
    for n in range(1000, count):
        total += n
        values.append(n * 3)
    # The second loop needs what the first has found out.
    return sum(value / total for value in values)


def forget_odd(table):
    odd = []
    for key in table:
        if key % 2:
            odd.append(key)
    for key in odd:
        del table[key]
    return len(table)


def in_order(count):
    values = []
    for n in range(1000, count):
        values.append(-n * 3)
    values.sort()
    for value in values:
        if value > 0:
            return value
    return 0


def kept(count):
    values = []
    for n in range(1000, count):
        values.append(n * 3)
    return values


def counted(count):
    values = []
    for n in range(1000, count):
        values.append(n * 3)
    print(len(values))
    return sum(values)


everything = kept(60_000)
print(shares(60_000), forget_odd({n: n for n in range(60_000)}), in_order(60_000), counted(60_000))
print(everything[0], everything[-1])

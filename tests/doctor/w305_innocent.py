"""Inner functions that look into what they share, now or later; and those whose outer function goes on using it."""


def make_lookup(count):
    table = [n / 3 for n in range(count)]

    def look(n):
        return table[n] if len(table) > n else None

    return look


def make_pair(count):
    rows = [n / 7 for n in range(count)]
    return (lambda: len(rows)), (lambda n: rows.index(n))


def goes_on(count):
    rows = [n / 5 for n in range(count)]
    best = max(range(100), key=lambda n: rows[n])
    results = []
    for n in range(150_000):
        results.append(str(n) + "!")
    total = len(results) + len(results[0])
    return best, total, rows[-1]


def again(count):
    rows = [n / 9 for n in range(count)]
    results = []
    for number in range(5):
        results.append(max(range(100), key=lambda n: rows[n]))
        for n in range(30_000):
            results.append(str(30_000 * number + n) + "!")
    return len(results), results[0]


def later(count):
    rows = [n / 11 for n in range(count)]
    chosen = (row for row in range(100) if rows[row] > 0)
    results = []
    for n in range(150_000):
        results.append(str(n) + "!")
    total = len(results) + len(results[0])
    return total, sum(chosen)


look = make_lookup(80_000)
length, index = make_pair(80_000)
print(goes_on(80_000), again(80_000), later(80_000))
print(look(5), length(), index(0.0))

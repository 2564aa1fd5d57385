import csv
import io


def column(rows, number):
    return map(lambda row: row[number], rows)


def total(rows):
    # Sorted for nothing: a sum does not care. 90,000 ints above 256, 28 bytes each.
    return sum(sorted(int(cell) for cell in column(rows, 0)))  # expect: W202 bytes~=90_000 * (28 + 8.5)


def longest(rows):
    # A tuple, by way of a variable. Tuples have no spare room at the end.
    cells = tuple(column(rows, 1))  # expect: W202 bytes~=90_000 * (TEXT + 8)
    best = ""
    for cell in cells:
        best = max(best, cell, key=len)
    return best


TEXT = "x".__sizeof__() + 29
lines = "\n".join(f"{n + 1000},{'y' * 30}" for n in range(90_000))
print(total(csv.reader(io.StringIO(lines))), longest(csv.reader(io.StringIO(lines))))

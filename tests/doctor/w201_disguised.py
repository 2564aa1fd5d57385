"""The list has a name, is made by a helper's argument, and a conversion hides in between."""
import functools
import operator


def digits(number):
    return f"{number:064d}"


def checksum(parts):
    result = 0
    for part in parts:
        result ^= hash(part)
    return result


def run(count):
    # Each text has 64 characters: 104 bytes (113 before 3.12).
    texts = [  # expect: W201 bytes~=40_000 * (108 + 8.5)
        digits(number)
        for number in range(count)
    ]
    return checksum(texts)


def product(count):
    # Two lists; the items of the first are the program's own numbers, kept in the table: only the list itself goes.
    table = list(range(10_000, 10_000 + count))
    largest = max(table[0], table[-1])
    return functools.reduce(operator.xor, [entry for entry in table if entry % 5]) + largest  # expect: W201 bytes~=8.5 * 160_000


print(run(40_000))
print(product(200_000))

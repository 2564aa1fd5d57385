"""Rows of a table that a library's Python code reads: three cities, each time as a string of its own."""

import csv
import io
import sys

ROWS = 30_000
CITIES = ("Castrop-Rauxel am Rand der Stadt", "Neustadt an der Weinstrasse, am".replace(",", " "), "Frankfurt an der Oder am Bahnhof")

text = "number,city\n" + "".join(f"{row},{CITIES[row % 3]}\n" for row in range(ROWS))


def load():
    kept = []
    file = io.StringIO(text)
    for row in csv.DictReader(file):  # expect: W502 bytes~=ROWS * sys.getsizeof(" " * 32)
        kept.append((row["city"], int(row["number"])))
    return kept


rows = load()
print(rows[-1], len({city for city, _ in rows}), max(number for _, number in rows), rows[0])

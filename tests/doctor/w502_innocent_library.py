"""What a library's Python code makes: strings that are all different, and equal ones that are let go at once."""

import csv
import io

ROWS = 30_000

text = "number,name\n" + "".join(f"{row},the name of row {row:08d}\n" for row in range(ROWS))


def load():
    kept = {}
    for row in csv.DictReader(io.StringIO(text)):
        kept[int(row["number"])] = row["name"]
    return kept


names = load()
print(names[7], len(names), max(names))
total = 0
for row in csv.DictReader(io.StringIO(text.replace("name of", "same"))):
    total += len(row["name"])
print(total, names[8])

"""Files whose lines are all needed, or read one by one."""
import os
import tempfile

name = os.path.join(tempfile.mkdtemp(), "lines.txt")
with open(name, "w") as file:
    file.writelines(f"{n:059d}\n" for n in range(30_000))


def count():
    with open(name) as file:
        return sum(1 for _ in file)


def last():
    with open(name) as file:
        lines = file.readlines()
        return lines[-1]


def middle():
    with open(name) as file:
        rows = file.read().splitlines()
    return rows[len(rows) // 2]


def backwards():
    with open(name) as file:
        kept = file.readlines()
    kept.reverse()
    for line in kept:
        if line.endswith("7\n"):
            return line
    return ""


print(count(), last(), middle(), backwards())

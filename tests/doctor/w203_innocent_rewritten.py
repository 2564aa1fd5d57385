"""Files that are read as a whole because they are written, renamed or removed next."""
import os
import pathlib
import tempfile

os.chdir(tempfile.mkdtemp())
with open("rows.txt", "w") as file:
    file.writelines(f"{n:059d}\n" for n in range(30_000))


def rewrite():
    rows = open("rows.txt").readlines()
    with open("rows.txt", "w") as out:
        out.writelines(rows)


def stripped():
    rows = [row.strip() + ".\n" for row in open("rows.txt")]
    with open("rows.txt", "w") as out:
        for row in rows:
            out.write(row)


def collected():
    rows = []
    with open("rows.txt") as file:
        for row in file:
            rows.append(row.replace(".", ","))
    with open("rows.txt", "w") as out:
        out.writelines(rows)


def load():
    return open("rows.txt").readlines()


def save(rows):
    with open("rows.txt", "w") as out:
        out.writelines(rows)


def by_functions():
    rows = load()
    save(rows)


def renamed():
    rows = open("rows.txt").readlines()
    os.replace("rows.txt", "old.txt")
    with open("rows.txt", "a") as out:
        for row in rows:
            out.write(row)


def by_a_path():
    path = pathlib.Path("rows.txt")
    rows = path.read_text().splitlines()
    path.write_text("")
    size = 0
    for row in rows:
        size += len(row)
    return size


for each in (rewrite, stripped, collected, by_functions, renamed):
    each()
    assert sum(1 for _ in open("rows.txt")) == 30_000
print(by_a_path())

"""All rows of a table, made in the block that has it open and gone through behind it."""

import csv
import os
import tempfile
import threading

ROWS = 40_000
name = os.path.join(tempfile.mkdtemp(), "people.csv")
with open(name, "w") as out:
    out.writelines(f"name {n:015d},{n % 7:020d},{n:030d}\n" for n in range(ROWS))


class Person:
    __slots__ = ("name", "number")

    def __init__(self, name, number):
        self.name = name
        self.number = number


def people():
    with open(name) as file:
        # The first field of each row lives on in its person.
        rows = list(csv.reader(file))  # expect: W202 bytes~=ROWS * (LIST + TEXTS + 8.5)
    found = []
    for row in rows:
        found.append(Person(row[0], int(row[2])))
    return found


lock = threading.Lock()
waiting = [f"job {n}" for n in range(150_000)]


def drain():
    # Others may add to it as soon as the lock is free.
    with lock:
        taken = list(waiting)
    total = 0
    for job in taken:
        total += len(job)
    return total


kept = people()
print(len(kept), kept[-1].name, drain())
# where: LIST = sys.getsizeof([1, 2, 3]) + 16
# where: TEXTS = sys.getsizeof("0" * 20) + sys.getsizeof("0" * 30)
waiting.clear()

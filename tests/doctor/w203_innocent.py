"""Files whose lines are all needed, or read one by one."""
import os
import tempfile

name = os.path.join(tempfile.mkdtemp(), "lines.txt")
with open(name, "w") as file:
    file.writelines(f"{n:059d}\n" for n in range(30_000))

with open(name) as file:
    count = sum(1 for _ in file)

with open(name) as file:
    lines = file.readlines()
    last = lines[-1]

with open(name) as file:
    rows = file.read().splitlines()
middle = rows[len(rows) // 2]

with open(name) as file:
    kept = file.readlines()
kept.reverse()
for line in kept[:2]:
    print(line, end="")
print(count, last, middle)

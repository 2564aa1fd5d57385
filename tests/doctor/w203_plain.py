import os
import tempfile

name = os.path.join(tempfile.mkdtemp(), "lines.txt")
with open(name, "w") as file:
    # 60 characters with the newline: a str of 100 or 101 bytes (109 before 3.12).
    file.writelines(f"{n:059d}\n" for n in range(50_000))

words = 0
with open(name) as file:
    for line in file.readlines():  # expect: W203 bytes~=50_000 * (LINE + 8.5)
        words += len(line.split())
print(words)
LINE = "".__sizeof__() + 60

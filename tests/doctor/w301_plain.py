import sys

# 60,000 strings, and a list of them; needed for one number.
table = [f"row number {n:010d}" for n in range(60_000)]  # expect: W301 bytes~=60_000 * ROW + 60_000 * 8.5
width = max(map(len, table)) + len(table[0])
print(width)

names = {}
for n in range(60_000):
    names[n] = f"name {n:010d}"
print(len(names), names[7])
ROW = sys.getsizeof("row number 0000000000")

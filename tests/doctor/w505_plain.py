import sys

readings = []
for n in range(60_000):
    readings.append((n % 8 / 4, n % 5 / 2))  # expect: W505 bytes~=60_000 * EACH
print(readings[0], readings[-1])
EACH = sys.getsizeof((1, 2)) + 2 * 24

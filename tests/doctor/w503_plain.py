import sys

waiting = {}
for n in range(150_000):
    waiting[n] = None  # expect: W503 bytes~=FULL
for n in range(149_990):
    del waiting[n]
print(len(waiting))
# where: FULL = sys.getsizeof({n: None for n in range(150_000)})

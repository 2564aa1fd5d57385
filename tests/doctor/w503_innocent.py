"""Containers that fit, that were made anew, and that shrink by themselves."""
table = {n: None for n in range(100_000)}
for n in range(40_000):
    del table[n]

waiting = {}
for n in range(100_000):
    waiting[n] = None
for n in range(99_990):
    del waiting[n]
waiting = dict(waiting)

items = list(range(200_000))
while len(items) > 10:
    items.pop()

cleared = {n: None for n in range(100_000)}
cleared.clear()

members = set(range(50_000))
print(len(table), len(waiting), len(items), len(cleared), len(members))

"""Each request cleans up behind itself."""

import gc

table = {number: [number] for number in range(60_000)}


def tidy():
    gc.collect()  # expect: W601


def handle(number):
    ring = [number]
    ring.append(ring)
    del ring
    tidy()


for number in range(60):
    handle(number)
print(len(table))

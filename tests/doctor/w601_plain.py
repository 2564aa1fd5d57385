"""A cleaning up after each step, though the collector would come by itself."""

import gc

table = {number: [number] for number in range(60_000)}
for number in range(60):
    ring = [number]
    ring.append(ring)
    del ring
    gc.collect()  # expect: W601
print(len(table))

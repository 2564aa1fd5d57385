"""Collections by hand that are few, or cheap, or that the long-lived objects are kept out of."""

import gc

rows = [[number] for number in range(100_000)]
gc.collect()
gc.freeze()
for _ in range(20):
    ring = []
    ring.append(ring)
    del ring
    gc.collect()

"""A cleaning up that never finds anything."""

import gc

rows = [[number] for number in range(150_000)]
total = 0
for row in rows[:30]:
    total += row[0]
    gc.collect()  # expect: W603

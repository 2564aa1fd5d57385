"""A program that collects random heaps in slices and prints what was found.

usage: sliced_heap.py FIRST_SEED COUNT

Under a pause target a full collection is done in slices, between which this
program moves references to what is alive from place to place; some are then
interrupted by one of another kind. On an interpreter without wrasse each is
``gc.collect()``. One line a seed, the same on any right collector. Run by
test_slices.py.
"""

import gc
import json
import random
import sys

from random_heap import Run, build, report

try:
    import wrasse

    SLICES = wrasse.status()["gc"] == "wrasse"
except ImportError:
    SLICES = False


def figures():
    generations = wrasse.gc_stats()["generations"]
    return generations[2]["collections"], sum(each["collected"] for each in generations)


def collect_in_slices(rng, kept):
    """A full collection; returns (objects found, slices), and moves what ``kept`` holds."""
    finished, found = figures()
    first = wrasse.gc_stats()["slices"]
    wrasse.set_pause_target(rng.choice([0.001, 0.001, 0.02]))
    ending = rng.choice(["itself"] * 5 + ["collect", "lifted", "frozen"])
    after = first + rng.randrange(1, 40)
    gc.set_threshold(50, 1, 100)
    gc.enable()
    litter = []
    other = []
    while True:
        litter.append([[] for _ in range(200)])
        other.append(kept.pop(rng.randrange(len(kept))) if kept else None)
        if rng.random() < 0.5:
            kept.extend(value for value in other if value is not None)
            other.clear()
        slices = wrasse.gc_stats()["slices"]
        if figures()[0] > finished:
            break
        if slices > after and ending != "itself":
            break
    gc.disable()
    kept.extend(value for value in other if value is not None)
    if slices > after and ending == "collect":
        gc.collect()
    elif slices > after and ending == "lifted":
        wrasse.set_pause_target(None)
    elif slices > after and ending == "frozen":
        gc.freeze()
        gc.unfreeze()
    # What was garbage only from some moment of the cycle on is for the next one.
    del litter, other
    gc.collect()
    return figures()[1] - found, slices - first


def trial(seed):
    rng = random.Random(seed)
    run = Run(1)
    run.deeds = ["log", "log", "fail", "resurrect"]
    gc.collect()
    kept, watched, everything = build(rng, run, rng.choice([60, 1500]))
    # Now all of it is old.
    gc.collect()
    del everything
    del run.log[:], kept[: len(kept) // 2]
    gc.set_debug(gc.DEBUG_SAVEALL if seed % 2 == 0 else 0)
    slices = None
    if SLICES:
        found, slices = collect_in_slices(random.Random(seed), kept)
    else:
        found = gc.collect()
        found += gc.collect()
    return report(seed, found, run, kept, watched, sorted), slices


gc.disable()
gc.collect()
gc.freeze()
total = 0
first, count = int(sys.argv[1]), int(sys.argv[2])
for seed in range(first, first + count):
    result, slices = trial(seed)
    total += slices or 0
    print(json.dumps(result), flush=True)
print("slices", total, file=sys.stderr)

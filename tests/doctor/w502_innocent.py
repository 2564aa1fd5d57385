"""Strings that differ, that are shared, and few copies."""
import sys

different = [f"word number {n:010d}" for n in range(40_000)]
shared = [sys.intern("department-" + str(n % 20)) for n in range(40_000)]
words = ["one", "two", "three"]
again = [words[n % 3] for n in range(40_000)]
twice = [f"word number {n:010d}" for n in range(1_000)]
known = {}
looked_up = [known.setdefault("place " + str(n % 9), "place " + str(n % 9)) for n in range(40_000)]
print(different[0], shared[-1], again[5], twice[3], looked_up[4])

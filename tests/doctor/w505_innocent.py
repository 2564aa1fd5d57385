"""Tuples that differ, that hold something that can change, that are shared, or of which there are few."""
different = [(n, n / 3) for n in range(30_000)]
changing = [("cart", []) for n in range(30_000)]
shared = ("red", 3, 4.5)
again = [shared for n in range(40_000)]
constant = [("no", 1, 2) for n in range(40_000)]
known = {}
looked_up = [known.setdefault((n % 8 / 4,), (n % 8 / 4,)) for n in range(40_000)]
twice = [(n // 2 / 3,) for n in range(20_000)]
objects = [object() for n in range(10)]
pairs = [(objects[n % 10], n / 3) for n in range(20_000)]
changing[0][1].append(1)
print(different[0], again[5], constant[3], looked_up[4], twice[-1], pairs[0][1], changing[1], len(changing))

"""A pipeline of generators over a file: one line at a time, sorted pieces merged."""
import heapq
import itertools
import tempfile


def numbers(file):
    for line in file:
        key, _, value = line.partition(" ")
        yield int(key), value.strip()


def pieces(pairs, size):
    while piece := sorted(itertools.islice(pairs, size)):
        yield piece


def main():
    with tempfile.TemporaryFile("w+") as file:
        for n in range(30_000):
            file.write(f"{n * 7919 % 30011} value {n:010d}\n")
        file.seek(0)
        merged = heapq.merge(*pieces(numbers(file), 5_000))
        last = None
        for key, value in merged:
            assert last is None or last <= key
            last = key
    print(last, value)


main()

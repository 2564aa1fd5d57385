"""Deep recursion in which every call makes lists."""


def merge_sort(values):
    if len(values) < 2:
        return values
    middle = len(values) // 2
    left, right = merge_sort(values[:middle]), merge_sort(values[middle:])
    merged = []
    while left and right:
        merged.append((left if left[-1] > right[-1] else right).pop())
    merged.extend(reversed(left or right))
    merged.reverse()
    return merged


def depth(n):
    return [n, *depth(n - 1)] if n else []


def main(scale):
    values = [(i * 7919) % 100_003 for i in range(20_000)]
    for _ in range(int(12 * scale) or 1):
        assert merge_sort(values) == sorted(values)
    for _ in range(int(600 * scale)):
        assert len(depth(700)) == 700

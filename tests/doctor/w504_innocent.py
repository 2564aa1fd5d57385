"""Lists that are not only numbers, small ones, numbers that do not fit, and lists that do not stay."""
import array

packed = array.array("d", (n / 7 for n in range(300_000)))
mixed = [n / 7 if n % 3 else None for n in range(150_000)]
huge = [n << 80 for n in range(60_000)]
few = [n / 7 for n in range(5_000)]
texts = [str(n) for n in range(60_000)]


def spread(count):
    values = [n / 7 for n in range(count)]
    return max(values) - min(values)


print(spread(250_000), packed[1], mixed[1], huge[1], few[1], texts[1])

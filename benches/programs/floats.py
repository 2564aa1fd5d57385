"""Arithmetic on floats, which come from the interpreter's free list and go back to it."""


def main(scale):
    x, total = 0.5, 0.0
    for _ in range(int(4_000_000 * scale)):
        x = 3.7 * x * (1.0 - x)
        total += x
    assert total > 0.0

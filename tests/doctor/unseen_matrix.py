"""Rows of numbers that are used over and over, with properties and operators."""
from functools import cached_property


class Matrix:
    def __init__(self, rows):
        self.rows = [list(row) for row in rows]

    def __matmul__(self, other):
        columns = list(zip(*other.rows))
        return Matrix([sum(a * b for a, b in zip(row, column)) for column in columns] for row in self.rows)

    @cached_property
    def trace(self):
        return sum(self.rows[n][n] for n in range(len(self.rows)))

    @classmethod
    def unit(cls, size):
        return cls([float(n == m) for m in range(size)] for n in range(size))


def power(matrix, exponent):
    result = Matrix.unit(len(matrix.rows))
    while exponent:
        if exponent & 1:
            result = result @ matrix
        matrix = matrix @ matrix
        exponent >>= 1
    return result


print(power(Matrix([(n * m) % 7 / 40 for m in range(60)] for n in range(60)), 5).trace > 0)

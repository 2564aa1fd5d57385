def run(count):
    squares = []
    for number in range(1000, count + 1000):
        # Ints above 2**30 from 32,768 on: 32 bytes.
        squares.append(number * number)  # expect: W204 bytes~=150_000 * (31 + 8.5)
    total = 0
    for square in squares:
        total += square
    return total


print(run(150_000))

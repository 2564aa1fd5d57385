def sums(count):
    rows = [n / 3 for n in range(count)]  # expect: W305 bytes~=100_000 * (24 + 8.5)
    order = sorted(range(100), key=lambda n: rows[n])
    results = []
    for n in range(200_000):
        results.append(str(n) + "!")
    return order[0], results[-1], results[0]


print(sums(100_000))

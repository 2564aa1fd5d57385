# 150,000 ints of 28 bytes and their places in the list. A generator holds one.
total = sum([n * 3 for n in range(1000, 151_000)])  # expect: W201 bytes~=150_000 * (28 + 8.5)
print(total)

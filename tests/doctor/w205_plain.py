def load(count):
    rows = []
    for number in range(count):
        # A tuple of two (56), an int (28), a str of six characters (46, 55 before 3.12).
        rows.append((number + 1000, str(number + 100_000)))  # expect: W205 bytes~=60_000 * (56 + 28 + 50 + 8.5)
    return rows


longest = 0
for number, text in load(60_000):
    longest = max(longest, len(text))
print(longest)

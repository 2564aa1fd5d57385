# 100,000 strings of 7 or 8 characters: 48 bytes each (57 before 3.12).
import sys

words = (f"w{n + 100_000}" for n in range(100_000))
EACH = sys.getsizeof("w100000")
for word in list(words):  # expect: W202 bytes~=100_000 * (EACH + 8.5)
    if not word:
        print(word)

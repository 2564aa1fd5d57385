"""Counts words by document: far more of them than at any look at the heap, and gone at the end."""

import random
from collections import Counter

DOCUMENTS = 700
WORDS = 1500
EACH = 400
# Words of 9 characters.
# where: SIZE = sys.getsizeof("word00000")


def main() -> None:
    rng = random.Random(8)
    vocabulary = [f"WORD{number:05}" for number in range(WORDS)]
    documents = []
    for _ in range(DOCUMENTS):
        counted: Counter[str] = Counter()
        for word in rng.sample(vocabulary, EACH):
            counted[word.lower()] += 1  # expect: W502 bytes~=(DOCUMENTS * EACH - WORDS) * SIZE
        documents.append(counted)
    print(len(documents), max(sum(each.values()) for each in documents))


main()

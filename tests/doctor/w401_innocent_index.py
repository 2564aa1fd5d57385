"""An index of words: adding to it is all that the program does until it is asked, once, when it is complete."""

index = {}


def add(word, place):
    index.setdefault(word, []).append(f"chapter {place:06d}, in the middle of the page")


def words(count):
    for number in range(count):
        yield f"word{number % 500}", number


def show():
    longest = max(index, key=lambda word: len(index[word]))
    print(longest, index[longest][-1])


def main():
    for word, place in words(60_000):
        add(word, place)
    show()


main()

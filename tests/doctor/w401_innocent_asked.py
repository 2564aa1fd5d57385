"""An index in an object of `main()` grows to the end, and is asked all the while: it is what the program is for."""


class Index:
    def __init__(self):
        self.pages = {}

    def add(self, number):
        self.pages[f"page {number}"] = [number + place for place in range(40)]

    def find(self, name):
        return self.pages.get(name, ())


def main():
    index = Index()
    found = 0
    for number in range(40_000):
        index.add(number)
        if number % 50 == 0:
            found += len(index.find(f"page {number // 2}"))
    print(found)


main()

"""A graph that is read in whole and then searched: an object of the module keeps it to the end."""
import collections


class Graph:
    def __init__(self):
        self.edges = collections.defaultdict(list)

    def connect(self, one, other, number):
        self.edges[one].append((other, f"road {number:06d} to {other:06d}"))

    def reachable(self, start):
        seen, waiting = {start}, [start]
        while waiting:
            for other, _name in self.edges[waiting.pop()]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return len(seen)


graph = Graph()


def load(count):
    for number in range(count):
        graph.connect(number % 3000, number * 7 % 3000, number)


def main():
    load(50_000)
    print(graph.reachable(0))


main()

"""Columns, filters and groups as in a data analysis, each of them used."""
import random


class Frame:
    def __init__(self, columns):
        self.columns = columns

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def where(self, name, test):
        keep = [at for at, value in enumerate(self.columns[name]) if test(value)]
        return Frame({key: [column[at] for at in keep] for key, column in self.columns.items()})

    def group(self, name):
        groups = {}
        for at, value in enumerate(self.columns[name]):
            groups.setdefault(value, []).append(at)
        return {value: self.take(rows) for value, rows in groups.items()}

    def take(self, rows):
        return Frame({key: [column[at] for at in rows] for key, column in self.columns.items()})

    def mean(self, name):
        column = self.columns[name]
        return sum(column) / len(column)


def main():
    generator = random.Random(3)
    frame = Frame({
        "city": [generator.choice(("Rome", "Oslo", "Lima")) for _ in range(30_000)],
        "rain": [generator.random() for _ in range(30_000)],
    })
    wet = frame.where("rain", lambda value: value > 0.5)
    for city, group in sorted(wet.group("city").items()):
        print(city, len(group), round(group.mean("rain"), 2))
    print(round(frame.mean("rain"), 2))


main()

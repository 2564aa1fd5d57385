"""Trees whose children know their parents, dropped as wholes: only the collector frees them."""


class Person:
    def __init__(self, parent):
        self.parent = parent
        self.children = []
        if parent:
            parent.children.append(self)


def family(generations, parent=None):
    person = Person(parent)
    if generations:
        for _ in range(3):
            family(generations - 1, person)
    return person


def main(scale):
    living = [family(6) for _ in range(int(150 * scale))]
    for _ in range(int(15_000 * scale)):
        family(4)
    assert all(person.children for person in living)

"""Heat in a rod, step by step: all states are kept in an object that `main()` has, and the last two are read."""

import array

CELLS = 200


class Rod:
    def __init__(self, left, right):
        first = array.array("d", [0.0] * CELLS)
        first[0], first[-1] = left, right
        self.states = [first]

    @property
    def now(self):
        return self.states[-1]

    def step(self):
        old = self.now
        new = old[:]  # expect: W401 bytes~=3000 * EACH
        for cell in range(1, CELLS - 1):
            new[cell] = old[cell] + 0.2 * (old[cell - 1] - 2 * old[cell] + old[cell + 1])
        self.states.append(new)

    def change(self):
        before, after = self.states[-2:]
        return max(abs(one - other) for one, other in zip(before, after))


def main():
    rod = Rod(100.0, 20.0)
    for step in range(3000):
        rod.step()
        if step % 500 == 0:
            print(step, round(rod.change(), 4))
    print(round(rod.now[CELLS // 2], 3), len(rod.states))


# where: EACH = sys.getsizeof(__import__("array").array("d", [0.0]) * 200)
main()

"""A game's states, all of them, in a list that only `main()` has; the next step needs the last one."""


def step(state):
    new = bytearray(1500)  # expect: W401 bytes~=4000 * (1500 + 1 + 57)
    new[0] = (state[0] + 1) % 256
    return new


def main():
    history = [bytearray(1)]
    for turn in range(4000):
        history.append(step(history[-1]))
        if turn % 1000 == 0:
            print(turn, len(history))
    print(history[-1][0])


main()

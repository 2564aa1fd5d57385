"""Fields and separators in turn: each second item of the list is small."""


def cells(count):
    for number in range(count):
        if number % 2:
            yield (number, str(number) * 20)
        else:
            yield (number, "")


def width(count):
    widest = 0
    table = list(cells(count))  # expect: W202 bytes~=20_000 * (8.25 * 2 + traced("", "(i, '')") + traced("", "(i, str(i + 20_000) * 20)"))
    for number, text in table:
        widest = max(widest, len(text))
    return widest


print(width(40_000))

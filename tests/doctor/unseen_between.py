"""Rows of a timetable in a function's variable: complete only after the last time that memory grew much."""
# where: STATION = "'station %d with a long name' % (i % 40)"
# where: COPIES = 27_000 - 40


def read(rows):
    table = []
    for number in range(rows):
        name = "station %d with a long name" % (number % 40)  # expect: W502 bytes~=COPIES * traced("", "'station %d with a long name' % (10 + i % 30)")
        table.append([number, name])
    return table


def count(table):
    found = {}
    for _, name in table:
        found[name] = found.get(name, 0) + 1
    return found


def main():
    table = read(27_000)
    found = count(table)
    print(len(found), max(found.values()), table[5], table[-1])


main()

"""Each request leaves its answer in a table, under a key that never comes again."""

answers = {}


def handle(number):
    request = b"%06d" % number + bytes(1500)
    answers[number] = request.replace(b"0", b"1")  # expect: W401 bytes~=4000 * (1506 + 33 + 28)
    return len(request)


for number in range(4000):
    handle(number)

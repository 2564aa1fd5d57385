"""The error goes into a result, and the result is a variable of the function."""


class Result:
    def __init__(self):
        self.error = None
        self.value = None


def parse(text):
    return int(text)


def attempt(text):
    scratch = bytearray(10_000)
    result = Result()
    try:
        result.value = parse(text)  # expect: W104 bytes~=60 * (10_058 + 1200)
    except ValueError as error:
        result.error = error
    return len(scratch), result.value


for number in range(60):
    attempt(f"{number}x")

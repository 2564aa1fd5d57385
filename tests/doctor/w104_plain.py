"""The last error is kept for later, in a variable of the very function that it came through."""


def attempt(number):
    data = bytes(20_000)
    last = None
    for _ in range(3):
        try:
            raise ValueError(len(data) + number)  # expect: W104 bytes~=50 * (20_033 + 1000)
        except ValueError as error:
            last = error
    return last is not None


for number in range(50):
    attempt(number)

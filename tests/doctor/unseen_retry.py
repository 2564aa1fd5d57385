"""A client that keeps each failure for a statistic of how many there were: their tracebacks keep what was sent."""
# where: SETUP = "def send(i):\n    payload = bytearray(2500)\n    raise ValueError(i)\n\ndef make(i):\n    try:\n        send(i)\n    except ValueError as failure:\n        return failure\nkept = make"


class Failure(Exception):
    pass


class Client:
    def __init__(self):
        self.failures = []

    def send(self, number):
        payload = bytearray(2500)  # expect: W401 bytes~=2500 * traced(SETUP, "kept(i)")
        payload[0] = number % 256
        if number % 2:
            raise Failure(number)
        return len(payload)

    def call(self, number):
        try:
            return self.send(number)
        except Failure as failure:
            self.failures.append(failure)
            return 0


client = Client()


def main():
    print(sum(client.call(number) for number in range(5000)), len(client.failures))


main()

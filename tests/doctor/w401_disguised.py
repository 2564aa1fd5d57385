"""Listeners that nobody takes off again, on a class that lives as long as the program."""


class Bus:
    listeners = []

    def __init__(self):
        self.sent = 0

    def subscribe(self, listener):
        self.listeners.append(listener)

    def send(self, message):
        self.sent += len(message)


class Job:
    def __init__(self, bus, number):
        self.bus = bus
        self.state = bytearray(2000)  # expect: W401 bytes~=3000 * (2000 + 1 + 57)
        bus.subscribe(self.done)

    def done(self):
        return len(self.state)

    def work(self):
        self.bus.send(bytes(2000))


def main():
    bus = Bus()
    for number in range(3000):
        Job(bus, number).work()


main()

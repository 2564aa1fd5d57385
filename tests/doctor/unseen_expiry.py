"""Sessions that end: each login looks for those that are too old."""
import itertools


class Store:
    def __init__(self, lifetime):
        self.lifetime = lifetime
        self.sessions = {}
        self.clock = itertools.count()

    def log_in(self, user):
        now = next(self.clock)
        if now % 100 == 0:
            self.expire(now)
        self.sessions[user] = (now, bytearray(2000))
        return self.sessions[user]

    def expire(self, now):
        old = [user for user, (begun, _) in self.sessions.items() if begun < now - self.lifetime]
        for user in old:
            del self.sessions[user]


store = Store(500)


def main():
    for number in range(8000):
        begun, cart = store.log_in(f"user{number}")
        cart[0] = begun % 256
    print(len(store.sessions) < 700)


main()

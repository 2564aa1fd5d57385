"""Sessions that are looked up while others come, and never removed; a farewell reads only how many there were."""


class Session:
    __slots__ = ("user", "cart")

    def __init__(self, user):
        self.user = user
        self.cart = bytearray(1500)  # expect: W401 bytes~=4000 * (1500 + 1 + 57)


sessions = {}


def session_of(user):
    return sessions[user]


def log_in(user):
    sessions[user] = Session(user)


def buy(user):
    session_of(user).cart[0] += 1


def serve(count):
    for number in range(count):
        log_in(number)
        buy(number)
    return len(sessions)


print(serve(4000))

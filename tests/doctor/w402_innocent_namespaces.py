"""Instances whose namespaces were asked for: each has a dict of its own, which shares its attributes."""

import copy


class Session:
    def __init__(self, number):
        self.user = f"user {number}"
        self.rights = ["read", "write"]


class Open(Session):
    def __init__(self, number):
        vars(self).update(number=number)
        super().__init__(number)


sessions = [Session(number) for number in range(800)]
print(sum(len(vars(session)) for session in sessions))
opened = [Open(number) for number in range(800)]
copies = [copy.copy(session) for session in sessions]
print(opened[-1].number, copies[-1].user)

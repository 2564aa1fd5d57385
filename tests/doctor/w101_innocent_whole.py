"""A simulation whose parts know each other: one circle, in use from the beginning to the end."""

import heapq
import itertools
import random


class Event:
    def __init__(self, time, number, action, payload):
        self.time = time
        self.number = number
        self.action = action
        self.payload = payload

    def __lt__(self, other):
        return (self.time, self.number) < (other.time, other.number)


class Scheduler:
    def __init__(self):
        self.now = 0.0
        self.events = []
        self.numbers = itertools.count()

    def after(self, delay, action, *payload):
        heapq.heappush(self.events, Event(self.now + delay, next(self.numbers), action, payload))

    def run(self, until):
        while self.events[0].time < until:
            event = heapq.heappop(self.events)
            self.now = event.time
            event.action(*event.payload)


class Clerk:
    def __init__(self, office):
        self.office = office
        self.notes = "note " * 40


class Office:
    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.random = random.Random(4)
        self.clerks = [Clerk(self) for _ in range(900)]
        self.served = 0

    def arrive(self, number):
        self.served += 1
        self.scheduler.after(self.random.random(), self.arrive, number)


def main():
    scheduler = Scheduler()
    office = Office(scheduler)
    for number in range(900):
        scheduler.after(office.random.random(), office.arrive, number)
    scheduler.run(10.0)
    print(office.served > 9000)


main()

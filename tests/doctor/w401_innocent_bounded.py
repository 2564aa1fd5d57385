"""A cache with a bound beside a record that is read at the end: numbers that the cache lets go are made anew for the record, in the same memory."""

import math
from functools import lru_cache


class Particle:
    __slots__ = ("place", "speed", "trail")

    def __init__(self, place):
        self.place = place
        self.speed = 0.0
        self.trail = []

    def step(self, seconds):
        self.speed -= math.sin(self.place) * seconds
        self.place += self.speed * seconds
        self.trail.append(self.place)


@lru_cache(maxsize=512)
def energy(speed, place):
    return 0.5 * speed * speed - math.cos(place)


particles = [Particle(number / 50) for number in range(50)]


def advance(steps):
    for _ in range(steps):
        for particle in particles:
            particle.step(0.01)
            energy(round(particle.speed, 2), round(particle.place, 2))


advance(3000)
print([sum(particle.trail[at] for particle in particles) for at in range(0, 3000, 300)])

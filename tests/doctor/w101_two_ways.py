"""Entities with two components that both know them: weakening one reference leaves the other circle."""

import gc

gc.disable()


class Place:
    def __init__(self, entity):
        self.entity = entity
        self.trail = bytes(800)


class Sprite:
    def __init__(self, entity):
        self.entity = entity
        self.pixels = bytes(1200)


class Entity:
    def __init__(self):
        self.place = Place(self)
        self.sprite = Sprite(self)


def frame(count):
    for _ in range(count):
        Entity()  # expect: W101 bytes~=300 * (800 + 1200 + 2 * 33 + 3 * (56 + 40))


frame(300)

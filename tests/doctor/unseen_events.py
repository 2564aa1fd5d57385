"""Events of a game as dataclasses, all in memory for a replay."""
from dataclasses import dataclass


@dataclass  # expect: W501
class Event:
    kind: str
    x: float
    y: float
    tick: int


class Replay:
    def __init__(self):
        self.events = []

    def record(self, count):
        for tick in range(count):
            self.events.append(Event("move" if tick % 5 else "jump", tick / 3, tick / 7, tick))

    def around(self, tick):
        return self.events[max(0, tick - 2) : tick + 3]

    def length(self):
        return len(self.events)


replay = Replay()
replay.record(40_000)
print(replay.length(), replay.around(500)[0].tick, replay.around(0)[1].kind)

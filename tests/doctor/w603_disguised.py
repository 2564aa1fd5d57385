"""The cleaning up is in a helper of a helper."""

import gc


class Memory:
    def trim(self):
        return gc.collect()  # expect: W603


class Worker:
    memory = Memory()

    def __init__(self):
        self.rows = {str(number): {number} for number in range(100_000)}

    def step(self):
        value = self.rows.popitem()
        self.memory.trim()
        return value


worker = Worker()
for _ in range(30):
    worker.step()

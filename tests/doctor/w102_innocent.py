"""Finalizers in objects that are in no circle, or that are closed."""


class Buffer:
    def __init__(self, size):
        self.memory = bytearray(size)

    def __del__(self):
        self.memory = None


class Session:
    def __init__(self):
        self.buffer = bytearray(8000)
        self.hook = self.flush

    def flush(self):
        return len(self.buffer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hook = None

    def __del__(self):
        self.buffer = None


for _ in range(200):
    Buffer(8000)
    with Session() as session:
        session.hook()

"""A finalizer that should give a buffer back, in an object that holds itself."""


class Buffer:
    def __init__(self, size):
        self.memory = bytearray(size)
        self.owner = self

    def __del__(self):
        self.memory = None


def use(size):
    buffer = Buffer(size)  # expect: W102 bytes~=100 * (5000 + 58 + 120)
    return len(buffer.memory)


for _ in range(100):
    use(5000)

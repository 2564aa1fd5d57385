"""Each job adds a handler to the package's logger for its own log, and does not take it off again."""
import io
import logging

logger = logging.getLogger("jobs")
logger.setLevel(logging.INFO)
logger.propagate = False


class MemoryHandler(logging.Handler):
    def __init__(self, size):
        super().__init__()
        self.buffer = bytearray(size)  # expect: W401 bytes~=2000 * (6000 + 1 + 57)

    def emit(self, record):
        self.buffer[0] = 1


class Job:
    def __init__(self, number):
        self.number = number
        self.handler = MemoryHandler(6000)

    def run(self):
        logger.addHandler(self.handler)
        if self.number % 100 == 0:
            logger.info("job %d", self.number)
        return sum(range(100))


def main():
    done = 0
    for number in range(2000):
        done += Job(number).run()
    print(done)


main()

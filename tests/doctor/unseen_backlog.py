"""Jobs that are noted as begun, in a set that nobody takes them out of."""

begun = set()


class Job:
    __slots__ = ("name", "size")

    def __init__(self, name, size):
        self.name = name
        self.size = size


def start(number):
    job = Job("job %d " % number * 30, number)  # expect: W401 bytes~=8000 * (traced("class Job:\n    __slots__ = ('name', 'size')\n    def __init__(self, name, size):\n        self.name, self.size = name, size", "Job('job %d ' % (i + 4000) * 30, i)") + 32)
    begun.add(job)
    return job.size


def main():
    print(sum(start(number) for number in range(8000)))


main()

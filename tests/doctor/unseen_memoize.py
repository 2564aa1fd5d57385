"""A memoizing decorator whose dict has no bound; the keys never come again."""
import functools


def memoize(function):
    cache = {}

    @functools.wraps(function)
    def wrapper(*args):
        if args not in cache:
            cache[args] = function(*args)
        return cache[args]

    return wrapper


@memoize
def render(number, style):
    return f"<{style}>{number:08d}</{style}>" + "." * 900  # expect: W401 bytes~=6000 * (sys.getsizeof('') + 915 + 56 + 28)


def main():
    size = 0
    for number in range(6000):
        size += len(render(number, "b"))
    print(size)


main()

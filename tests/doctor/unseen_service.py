#!/usr/bin/env python3
"""A request handler as it grows in a company: logging, a registry, a metrics list, type hints here and there."""
import logging
import sys
import time

log = logging.getLogger(__name__)
_metrics = []
HANDLERS = {}


def handler(name):
    def register(function):
        HANDLERS[name] = function
        return function

    return register


class Request(object):
    def __init__(self, path, user):
        self.path, self.user = path, user

    def __repr__(self):
        return "<Request %s>" % self.path


@handler("index")
def index(request):
    return "hello " + request.user


@handler("echo")
def echo(request):
    return request.path


def dispatch(request):
    began = time.perf_counter()
    try:
        return HANDLERS[request.path.split("/")[1]](request)
    finally:
        # A str of about 31 characters and a tuple of two with a float.
        _metrics.append((f"request {request.user} took a while", time.perf_counter() - began))  # expect: W302 bytes~=20_000 * (EACH + 56 + 24 + 8.5)


def main(argv):
    for n in range(20_000):
        dispatch(Request(("/index", "/echo")[n % 2], f"user{n:06d}"))
    # The rest of the day.
    for n in range(200_000):
        index(Request("/index", "user" * 10))
    log.info("done")
    return 0


EACH = sys.getsizeof("request user000000 took a while")
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

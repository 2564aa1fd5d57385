"""Errors that are told, kept without their frames, kept as text, or raised again."""

log = []


def told(number):
    data = bytes(20_000)
    try:
        raise ValueError(len(data) + number)
    except ValueError as error:
        log[:] = [str(error)]


def without_frames(number):
    data = bytes(20_000)
    failure = None
    try:
        raise ValueError(len(data) + number)
    except ValueError as error:
        failure = error.with_traceback(None)
    return failure is None


def raised_again(number):
    data = bytes(20_000)
    try:
        raise ValueError(len(data) + number)
    except ValueError as error:
        raise KeyError(number) from error


def let_go(number):
    data = bytes(20_000)
    failure = None
    try:
        try:
            raise ValueError(len(data) + number)
        except ValueError as error:
            failure = error
        return failure.args
    finally:
        del failure


for number in range(100):
    told(number)
    without_frames(number)
    let_go(number)
    try:
        raised_again(number)
    except KeyError:
        pass

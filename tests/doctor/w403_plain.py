"""Five kinds of messages, each made in a line of its own and for a while; the log of all of them is never emptied."""
import sys

class Log:
    def __init__(self):
        self.messages = []


log = Log()


class Message:
    __slots__ = ("text", "number")

    def __init__(self, text, number):
        self.text = text
        self.number = number


def hello(number):
    log.messages.append(Message(f"hello {number:06d}" + "." * 300, number))  # expect: W403 bytes~=7500 * (48 + TEXT + 28)


def ask(number):
    log.messages.append(Message(f"ask {number:08d}" + "." * 300, number))


def answer(number):
    log.messages.append(Message(f"answer {number:05d}" + "." * 300, number))


def thank(number):
    log.messages.append(Message(f"thank {number:06d}" + "." * 300, number))


def leave(number):
    log.messages.append(Message(f"leave {number:06d}" + "." * 300, number))


def talk(count):
    for step in (hello, ask, answer, thank, leave):
        for number in range(1000, count + 1000):
            step(number)
    return len(log.messages)


print(talk(1500))
TEXT = sys.getsizeof("hello 000000" + "." * 300)

"""Objects that C code holds for a while, or for good and few."""

import atexit
import ctypes

slots = (ctypes.py_object * 10)()


class Message:
    def __init__(self, number):
        self.body = bytes(3000 + number % 10)


def send(message):
    reference = ctypes.py_object(message)
    ctypes.pythonapi.Py_IncRef(reference)
    ctypes.pythonapi.Py_DecRef(reference)
    return len(message.body)


for number in range(200):
    message = Message(number)
    send(message)
    slots[number % 10] = message
atexit.register(send, Message(0))
pairs = map(send, [Message(number) for number in range(100)])

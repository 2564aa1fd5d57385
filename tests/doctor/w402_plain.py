"""A call into C that takes a reference and never gives it back."""

import ctypes


class Message:
    def __init__(self, number):
        self.body = b"%d" % number + bytes(3000)


def send(message):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(message))


for number in range(100):
    send(Message(number))  # expect: W402 bytes~=100 * (3035 + 100)

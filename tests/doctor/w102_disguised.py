"""The finalizer is in a base class, and the circle goes through a registry that each object has."""

import gc


class Resource:
    def __init__(self):
        self.handle = bytearray(8000)

    def release(self):
        self.handle = None

    def __del__(self):
        self.release()


class Session(Resource):
    def __init__(self):
        super().__init__()
        self.plugins = {}


class Plugin:
    def __init__(self, session):
        self.session = session


gc.disable()
for number in range(50):
    session = Session()  # expect: W102 bytes~=50 * (8000 + 58 + 500)
    session.plugins["log"] = Plugin(session)
    session.plugins["trace"] = Plugin(session)

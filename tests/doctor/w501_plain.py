# where: NOW = traced("class P:\n def __init__(self, x, y):\n  self.x = x\n  self.y = y", "P(1, 2)")
# With slots: the collector's 16 bytes, the object's 16, and 8 for each attribute.


class Point:  # expect: W501 bytes~=60_000 * (NOW - 48)
    def __init__(self, x, y):
        self.x = x
        self.y = y


points = [Point(n, -n) for n in range(60_000)]
print(points[0].x, points[-1].y)

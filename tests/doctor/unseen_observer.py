"""The observer pattern: widgets are made for each request and never detach from the model."""


class Model:
    def __init__(self):
        self._observers = []
        self.value = 0

    def attach(self, observer):
        self._observers.append(observer)

    def detach(self, observer):
        pass

    def change(self, value):
        self.value = value


class View:
    def __init__(self, model, name):
        self.name = name
        self.pixels = bytearray(1800)  # expect: W401 bytes~=3500 * (1800 + 1 + 57)
        model.attach(self)

    def draw(self):
        return self.pixels[0]


model = Model()


def handle(number):
    view = View(model, number)
    model.change(number)
    return view.draw()


def main():
    total = 0
    for number in range(3500):
        total += handle(number)
    print(total, model.value)


if __name__ == "__main__":
    main()

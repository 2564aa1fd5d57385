"""A till that notes each sale with its articles and a receipt, and never forgets one: three lines, one list."""
# where: SETUP = "class Sale:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n\nclass Article:\n    def __init__(self, a, b):\n        self.a, self.b = a, b"
# where: EACH = "Sale([Article(i, float(i)) for _ in range(4)], 'shop %d, thank you for ' % i + 'your visit! ' * 20)"


class Article:
    def __init__(self, number, price):
        self.number = number
        self.price = price


class Sale:
    def __init__(self, articles, receipt):
        self.articles = articles
        self.receipt = receipt


class Till:
    def __init__(self):
        self.sales = []
        self.total = 0.0

    def sell(self, numbers):
        articles = [Article(number, number * 0.5) for number in numbers]  # expect: W401 bytes~=4000 * (traced(SETUP, EACH) + 8.5)
        receipt = "shop %d, thank you for " % numbers[0] + "your visit! " * 20
        self.sales.append(Sale(articles, receipt))
        self.total += sum(article.price for article in articles)


till = Till()


def open_shop():
    for number in range(1000, 5000):
        till.sell([number, number + 1, number + 2, number + 3])
    print(till.total)


open_shop()

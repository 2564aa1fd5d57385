"""A parser's tree whose nodes know their parents: each tree is dropped whole."""
from dataclasses import dataclass, field
from typing import Optional


@dataclass(eq=False)
class Element:
    tag: str
    parent: Optional["Element"] = None
    children: list = field(default_factory=list)
    text: bytes = b""

    def add(self, tag):
        child = Element(tag, self, text=bytes(300))
        self.children.append(child)
        return child


def parse(number):
    root = Element("html")  # expect: W101
    body = root.add("body")
    for n in range(10):
        body.add("p").add("span")
    return root


def count(element):
    return 1 + sum(count(child) for child in element.children)


print(sum(count(parse(number)) for number in range(800)))

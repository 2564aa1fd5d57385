"""A tokenizer that returns a list, for callers that only go through it."""
import re

TOKEN = re.compile(r"\d+|[a-z]+|[-+*/()]")


class Lexer:
    def __init__(self, text):
        self.text = text

    def tokens(self):
        found = []
        for match in TOKEN.finditer(self.text):
            found.append((match.start(), match.group()))  # expect: W205
        return found


def depth(lexer):
    deepest = level = 0
    for _, token in lexer.tokens():
        level += (token == "(") - (token == ")")
        deepest = max(deepest, level)
    return deepest


print(depth(Lexer("(alpha + 12345) * (beta - (gamma / 678)) " * 6000)))

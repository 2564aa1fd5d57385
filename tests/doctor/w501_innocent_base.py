"""Instances of classes whose namespace comes from a library's class: slots would take none away."""

import argparse
import ast
import string


class Options(argparse.Namespace):
    def __init__(self, number):
        super().__init__(number=number)


class Mixin:
    pass


class Names(Mixin, ast.NodeVisitor):
    def __init__(self, number):
        self.number = number


class Words(string.Formatter):
    def __init__(self, number):
        self.number = number


kept = [Options(number) for number in range(10_000)]
kept += [Names(number) for number in range(10_000)]
kept += [Words(number) for number in range(10_000)]
print(sum(each.number for each in kept))

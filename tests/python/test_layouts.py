"""Objects whose references are read at fixed places: found as ``tp_traverse`` tells them."""

import textwrap

import command
import pytest

# For each place where an object of CPython's own types keeps a reference: makes such an
# object, with `canary` there, and returns it.
PLACES = """
import sys, types, weakref

class Canary:
    pass
class Name(str):
    pass
class Held:
    pass

def named(canary):
    name = Name("name")
    name.canary = canary
    return name

def function(**changes):
    made = types.FunctionType((lambda: 0).__code__, changes.pop("namespace", {}))
    for name, value in changes.items():
        setattr(made, name, value)
    return made

def closed(canary):
    return (lambda: canary)

def inherits(canary):
    class Base:
        held = canary
    return Base

def with_slot(canary):
    class Slotted:
        __slots__ = ("slot", "__dict__", "__weakref__")
        held = canary
    return Slotted

def plain(canary):
    def called(*arguments): return canary
    return called

def watching(canary):
    return weakref.ref(Held, plain(canary))

def property_of(canary):
    made = property()
    made.__set_name__(Held, named(canary))
    return made

MAKERS = {
    "function.globals": lambda c: function(namespace={"c": c}),
    "function.builtins": lambda c: function(namespace={"__builtins__": {"c": c}}),
    "function.name": lambda c: function(__name__=named(c)),
    "function.qualname": lambda c: function(__qualname__=named(c)),
    "function.defaults": lambda c: function(__defaults__=(c,)),
    "function.kwdefaults": lambda c: function(__kwdefaults__={"c": c}),
    "function.closure": closed,
    "function.doc": lambda c: function(__doc__=c),
    "function.dict": lambda c: function(attribute=c),
    "function.module": lambda c: function(__module__=c),
    "function.annotations": lambda c: function(__annotations__={"c": c}),
    "class.dict": inherits,
    "class.base": lambda c: type("Derived", (inherits(c),), {}),
    "class.bases": lambda c: type("Derived", (Held, inherits(c)), {}),
    "cell": lambda c: types.CellType(c),
    "property.get": lambda c: property(c),
    "property.set": lambda c: property(None, c),
    "property.del": lambda c: property(None, None, c),
    "property.doc": lambda c: property(None, None, None, c),
    "property.name": property_of,
    "classmethod": lambda c: classmethod(plain(c)),
    "staticmethod": lambda c: staticmethod(plain(c)),
    "method.self": lambda c: types.MethodType(print, c),
    "method.function": lambda c: types.MethodType(plain(c), 1),
    "builtin.self": lambda c: [c].append,
    "wrapper": lambda c: object.__repr__.__get__(c),
    "member": lambda c: with_slot(c).slot,
    "getset": lambda c: with_slot(c).__dict__["__dict__"],
    "weakref.callback": watching,
}
if sys.version_info >= (3, 12):
    MAKERS["function.typeparams"] = lambda c: function(__type_params__=(c,))
"""

# Each place thrice, since the first object of a type is read both ways, and only
# those after it are believed.
CYCLES = (
    PLACES
    + """
import gc
gc.disable()
gc.collect()
for turn in range(3):
    kept = []
    for name, make in MAKERS.items():
        canary = Canary()
        kept.append((name, make(canary), weakref.ref(canary)))
        canary = Canary()
        canary.me = make(canary)
        gone = weakref.ref(canary)
        del canary
        found = gc.collect()
        print(turn, name, found, gone() is None)
    gc.collect()
    for name, holder, reference in kept:
        assert reference() is not None, name
    # The same again in one go, among what is alive.
    references = []
    for make in MAKERS.values():
        canary = Canary()
        canary.me = make(canary)
        references.append(weakref.ref(canary))
    del canary
    print(gc.collect(), [reference() is None for reference in references])
    del kept, holder
    gc.collect()
print("done")
"""
)


@pytest.mark.parametrize("features", ["gc", "gc,alloc"])
def test_cycles_through_every_place_are_found_as_stock_finds_them(features):
    stock = command.python("-c", CYCLES)
    ours = command.python("-c", CYCLES, WRASSE=features)
    assert (stock.code, stock.err) == (0, "")
    assert (ours.code, ours.err) == (0, "")
    assert ours.out.splitlines() == stock.out.splitlines()
    assert stock.out.endswith("done\n") and stock.out.count("True\n") > 60


def test_a_type_that_tells_something_else_is_asked():
    # A property that tells of its setter only, as a weak reference does of its callback:
    # what holds itself by its getter or deleter is kept then.
    code = """
        import ctypes, gc, weakref
        TRAVERSE = 184
        def place(kind):
            return ctypes.c_void_p.from_address(id(kind) + TRAVERSE)
        assert place(property).value not in (None, place(weakref.ref).value)
        place(property).value = place(weakref.ref).value
        INSTALL
        class Canary: pass
        def gone(make):
            canary = Canary()
            canary.me = make(canary)
            reference = weakref.ref(canary)
            del canary
            gc.collect()
            return reference() is None
        for _ in range(3):
            print(gone(property), gone(lambda c: property(None, c)),
                  gone(lambda c: property(None, None, c)))
    """
    code = textwrap.dedent(code)
    for install in "", "import wrasse; wrasse.install('gc')":
        result = command.python("-c", code.replace("INSTALL", install))
        assert (result.code, result.out, result.err) == (0, 3 * "False True False\n", "")

"""numpy, pandas, sqlalchemy and greenlet do the same work on wrasse as on stock Python."""

from __future__ import annotations

import functools
import importlib.util

import pytest
from command import Result, python

NUMPY = """
import hashlib, pickle
import numpy as np

draw = np.random.default_rng(7)
a = draw.random((300, 200))
words = np.array([f"word {i}" for i in range(2000)], dtype=object)
records = np.zeros(500, dtype=[("name", "U12"), ("value", "f8")])
for i in range(500):
    records[i] = (f"r{i}", i / 3)
grown = np.concatenate([np.arange(i) for i in range(200)])
print(hashlib.sha256(np.ascontiguousarray(a @ a.T > 50)).hexdigest())
print(np.round(np.linalg.norm(a), 9), np.unique(grown % 17, return_counts=True))
print(len(set(words.tolist())), (words + "!")[-1], records[records["value"] > 160]["name"][:3])
print(np.array_equal(pickle.loads(pickle.dumps(a)), a), np.fft.fft(a[0]).shape)
"""

PANDAS = """
import io
import pandas as pd

rows = "\\n".join(f"{i},{'abc'[i % 3]},{i * 7 % 101},2024-01-{i % 28 + 1:02}" for i in range(3000))
table = pd.read_csv(io.StringIO("id,kind,value,day\\n" + rows), parse_dates=["day"])
print(table.groupby("kind")["value"].agg(["sum", "mean", "max"]).round(6).to_string())
other = pd.DataFrame({"kind": list("abc"), "weight": [1.5, 2.5, 3.5]})
joined = table.merge(other, on="kind").assign(total=lambda t: t.value * t.weight)
print(joined.pivot_table(index="kind", columns=joined.day.dt.day_of_week, values="total").round(4).to_string())
print(table.set_index("day").resample("W")["value"].sum().to_dict())
print(joined.kind.str.upper().value_counts().to_dict(), joined.to_csv(index=False).count("\\n"))
"""

SQLALCHEMY = """
import sqlalchemy as sa
from sqlalchemy import orm

class Base(orm.DeclarativeBase): pass
class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    books: orm.Mapped[list["Book"]] = orm.relationship(back_populates="author", cascade="all, delete-orphan")
class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")

engine = sa.create_engine("sqlite://")
Base.metadata.create_all(engine)
with orm.Session(engine) as session:
    for i in range(60):
        books = [Book(title=f"title {i}.{j}") for j in range(i % 5)]
        session.add(Author(name=f"author {i % 7}", books=books))
    session.commit()
    session.delete(session.get(Author, 5))
    session.commit()
    query = (sa.select(Author.name, sa.func.count(Book.id)).join(Author.books)
             .group_by(Author.name).order_by(Author.name))
    print(str(query))
    print(session.execute(query).all())
    loaded = session.scalars(sa.select(Author).options(orm.selectinload(Author.books))).all()
    print(sum(len(author.books) for author in loaded), loaded[-1].books[0].author is loaded[-1])
    try:
        session.add(Book(id=1, title="again", author_id=1)); session.flush()
    except sa.exc.IntegrityError as error:
        print(type(error).__name__)
"""

PROGRAMS = {"numpy": NUMPY, "pandas": PANDAS, "sqlalchemy": SQLALCHEMY}
TRACES = """
import tracemalloc
tracemalloc.start(10)
"""
TRACED = """
import gc
gc.collect()
snapshot = tracemalloc.take_snapshot()
assert tracemalloc.get_traced_memory()[0] > 100_000 and len(snapshot.traces) > 1000
"""


@functools.cache
def stock(package: str) -> Result:
    """What the program prints without wrasse."""
    return python("-W", "ignore", "-c", PROGRAMS[package])


@pytest.mark.parametrize("package", PROGRAMS)
@pytest.mark.parametrize("words", ["1", "gc,alloc,trace=25", "1 and tracemalloc"])
def test_results_are_those_of_stock(package: str, words: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: there may be no wheel for this interpreter")
    program = PROGRAMS[package]
    if words.endswith("tracemalloc"):
        program = TRACES + program + TRACED
    expected = stock(package)
    assert (expected.code, expected.err) == (0, "") and expected.out.count("\n") > 3
    result = python("-W", "ignore", "-c", program, WRASSE=words.split()[0])
    assert result == expected


# Greenlets that switch to one another at random, at any depth, also from within C (`sorted`,
# `list`) and from generators. A greenlet's frames leave the thread's stack and come back on
# top of others, below which nothing may be taken for what was there before. Left out
# are lists, which may come from free lists with memory from before `start()`, and instances
# with a dict, which stock 3.11 does not find.
GREENLETS = """
import random, sys, tracemalloc
import greenlet

draw = random.Random(int(sys.argv[1]))
tracemalloc.start(int(sys.argv[2]))
kept, running, steps, main = [], [], 0, greenlet.getcurrent()

class Thing:
    __slots__ = ()

def down(n):
    if n:
        if draw.random() < 0.3:
            kept.append(bytearray(700 + n))
        return down(n - 1) if draw.random() < 0.6 else aside(n - 1)
    kept.append(Thing())
    switch()
    kept.append(bytearray(900))

def aside(n):
    down(n)
    if draw.random() < 0.5:
        switch()
    kept.append(bytearray(800))

def counted(n):
    for i in range(n):
        switch()
        yield bytearray(600 + i)

def keyed(i):
    kept.append(bytearray(650))
    switch()
    return i

def body(*_):
    while True:
        chance = draw.random()
        if chance < 0.7:
            down(draw.randrange(30))
        elif chance < 0.85:
            sorted(range(5), key=keyed)
        elif chance < 0.97:
            kept.extend(list(counted(3)))
        else:
            return
        switch()

def switch():
    global steps
    steps += 1
    if steps > 1500:
        if greenlet.getcurrent() is not main:
            main.switch()
        return
    chance = draw.random()
    if chance < 0.4:
        return
    if chance < 0.5 or not running:
        new = greenlet.greenlet(body, main)
        running.append(new)
        new.switch()
        return
    running[:] = [one for one in running if not one.dead]
    if chance < 0.55 or not running:
        main.switch()
    elif chance < 0.58 and len(running) > 5:
        del running[draw.randrange(len(running))]
    else:
        running[draw.randrange(len(running))].switch()

while steps < 1500:
    switch()
for one in kept:
    frames = tracemalloc.get_object_traceback(one)
    print(type(one).__name__, *[frame.lineno for frame in frames])
"""


@pytest.mark.parametrize("limit", [1, 25])
def test_tracebacks_of_greenlets_are_those_of_stock(limit: int) -> None:
    if importlib.util.find_spec("greenlet") is None:
        pytest.skip("greenlet is not installed: there may be no wheel for this interpreter")
    for seed in range(3):
        arguments = ("-c", GREENLETS, str(seed), str(limit))
        expected = python(*arguments)
        assert (expected.code, expected.err) == (0, "") and expected.out.count("\n") > 1000
        assert python(*arguments, WRASSE="gc,alloc,tracemalloc") == expected
        assert python(*arguments, WRASSE="gc,alloc,trace=25,tracemalloc") == expected

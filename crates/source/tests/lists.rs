//! Lists built to be iterated once: a line with `# <-` is found, no other is.

use std::collections::HashSet;

use wrasse_source::{Builder, Module};

fn check(source: &str) {
    let module = Module::read(source).unwrap();
    let found: Vec<u32> = module
        .single_passes(&HashSet::new())
        .iter()
        .map(|each| each.line)
        .collect();
    let lines = source.lines().zip(1..);
    let expected: Vec<u32> = lines
        .filter(|(line, _)| line.contains("# <-"))
        .map(|(_, number)| number)
        .collect();
    assert_eq!(found, expected, "in\n{source}");
}

#[test]
fn what_folds_needs_no_list() {
    for call in [
        "sum([f(x) for x in xs])",
        "any([x > 1 for x in xs])",
        "max([f(x) for x in xs], default=0)",
        "math.fsum([x for x in range(9)])",
        "fold(add, [f(x) for x in xs])",
        "9 in [f(x) for x in xs]",
        "set([f(x) for x in xs])",
        "sum(enumerate([f(x) for x in xs]))",
        "file.writelines([f(x) for x in xs])",
        "sum(list(map(f, xs)))",
        "sum(sorted(map(f, xs)))",
        "Counter([f(x) for x in xs])",
    ] {
        let imports =
            "import math\nfrom functools import reduce as fold\nfrom collections import Counter\n";
        check(&format!(
            "{imports}def run(xs, file):\n    return {call}  # <-\n"
        ));
    }
}

#[test]
fn what_needs_a_list_is_innocent() {
    for call in [
        "len([f(x) for x in xs])",
        "[f(x) for x in xs][0]",
        "','.join([f(x) for x in xs])",
        "max(*[f(x) for x in xs])",
        "max([f(x) for x in xs], xs)",
        "unknown([f(x) for x in xs])",
        "reversed(list(map(f, xs)))",
        "sorted(map(f, xs))",
        "first(sorted(xs))",
        "sum(f(x) for x in xs)",
        "[y for x in xs for y in [x, x]]",
        "sum([x for x in xs] * 2)",
    ] {
        check(&format!("def run(xs):\n    return {call}\n"));
    }
}

#[test]
fn a_redefined_function_is_unknown() {
    check(
        "def sum(values):\n    return values[0] + len(values)\n\nprint(sum([x for x in range(9)]))\n",
    );
    check("import numpy as np\n\nprint(np.sum([x for x in range(9)]))\n");
}

#[test]
fn a_variable_used_once() {
    check("def run(xs):\n    values = [f(x) for x in xs]  # <-\n    return sum(values)\n");
    check(
        "def run(xs):\n    values = [f(x) for x in xs]  # <-\n    for value in values:\n        print(value)\n",
    );
    check(
        "def run(xs):\n    values = [f(x) for x in xs]\n    print(len(values))\n    return sum(values)\n",
    );
    check("def run(xs):\n    values = [f(x) for x in xs]\n    return sum(values) / max(values)\n");
    check(
        "def run(xs):\n    values = [f(x) for x in xs]\n    if xs:\n        return sum(values)\n",
    );
    check(
        "def run(xs):\n    values = [f(x) for x in xs]\n    for i in range(3):\n        print(sum(values))\n",
    );
    check("def run(xs):\n    values = [f(x) for x in xs]\n    return lambda: sum(values)\n");
    check("def run(xs):\n    values = [f(x) for x in xs]\n    return values\n\nkept = run([])\n");
}

#[test]
fn files() {
    check(
        "with open(name) as file:\n    for line in file.readlines():  # <-\n        print(line)\n",
    );
    check(
        "with open(name) as file:\n    for line in file.read().split('\\n'):  # <-\n        print(line)\n",
    );
    check(
        "with open(name) as file:\n    lines = file.readlines()  # <-\nfor line in lines:\n    print(line)\n",
    );
    // Something else than a file, or more than one, is left with the block.
    for made in [
        "with lock:\n    rows = list(shared)\n",
        "with lock, open(name) as file:\n    rows = list(file)\n",
        "with open(name, 'r+') as file:\n    rows = list(file)\n",
        "with open(name) as file:\n    if xs:\n        rows = list(file)\n",
        "with open(name) as file:\n    rows = list(shared)\n",
        "with lock:\n    with open(name) as file:\n        rows = list(file)\n",
        "for name in xs:\n    with open(name) as file:\n        rows = list(file)\n",
    ] {
        check(&format!("{made}for row in rows:\n    print(row)\n"));
    }
    check(
        "with lock:\n    with open(name) as file:\n        rows = list(file)  # <-\n    for row in rows:\n        print(row)\n",
    );
    check(
        "with path.open() as file, open(name) as other:\n    rows = list(zip(file, other))  # <-\nfor row in rows:\n    print(row)\n",
    );
    check(
        "with open(name) as file:\n    rows = list(file)\nwith open(name, 'w') as file:\n    for row in rows:\n        file.write(row)\n",
    );
    check("with open(name) as file:\n    lines = file.readlines()\n    print(lines[0])\n");
    check("with open(name) as file:\n    for line in file.readlines():\n        file.seek(0)\n");
}

#[test]
fn append_loops() {
    check(
        "def run(xs):\n    out = []\n    for x in xs:\n        out.append(f(x))  # <-\n    return sum(out)\n",
    );
    check(
        "def run(xs):\n    out = list()\n    for x in xs:\n        if x:\n            out.append(f(x))  # <-\n    for each in out:\n        print(each)\n",
    );
    // Two passes: the second one needs what the first one found out.
    check(
        "def run(xs):\n    total, out = 0, []\n    out = []\n    for x in xs:\n        total += x\n        out.append(f(x))\n    for each in out:\n        print(each / total)\n",
    );
    check(
        "def run(xs):\n    total = 0\n    out = []\n    for x in xs:\n        total += x\n        out.append(f(x))\n    for each in out:\n        print(each / total)\n",
    );
    check(
        "def run(xs):\n    out = []\n    for x in xs:\n        out.append(f(x))\n    out.sort()\n    for each in out:\n        print(each)\n",
    );
    check(
        "def run(xs):\n    out = []\n    for x in xs:\n        out.append(f(x))\n        print(sum(out))\n",
    );
}

#[test]
fn a_copy_that_protects_is_innocent() {
    check("def run(d):\n    for key in list(d):\n        del d[key]\n");
    check("def run(d):\n    for key in [k for k in d if k]:\n        d.pop(key)\n");
    check(
        "def run(d):\n    stale = []\n    for key in d:\n        if key:\n            stale.append(key)\n    for key in stale:\n        del d[key]\n",
    );
    check("def run(node):\n    for child in list(node.children):\n        child.detach()\n");
    check("def run(node):\n    for child in list(node.children):\n        node.remove(child)\n");
    check(
        "seen = {}\n\ndef forget(key):\n    del seen[key]\n\ndef run():\n    for key in list(seen):\n        forget(key)\n",
    );
    check(
        "def run(xs):\n    offset = 0\n    for x in [y + offset for y in xs]:\n        offset += x\n",
    );
    check("def run(d):\n    for key in list(d):  # <-\n        print(key)\n");
}

#[test]
fn functions_that_return_lists() {
    check(
        "def load(name):\n    out = []\n    with open(name) as file:\n        for line in file:\n            out.append(line.split())  # <-\n    return out\n\ndef run(name):\n    for row in load(name):\n        print(row)\n",
    );
    check("def load(xs):\n    return [f(x) for x in xs]  # <-\n\nprint(sum(load([1])))\n");
    check(
        "def load(xs):\n    return [f(x) for x in xs]\n\nprint(sum(load([1])), len(load([1])))\n",
    );
    check(
        "def load(xs):\n    if not xs:\n        return []\n    return [f(x) for x in xs]\n\nprint(sum(load([1])))\n",
    );
    check(
        "class Store:\n    def rows(self):\n        return [f(x) for x in self.xs]  # <-\n\n    def total(self):\n        return sum(self.rows())\n",
    );
    check(
        "class Store:\n    def rows(self):\n        return [f(x) for x in self.xs]\n\n    def total(self):\n        return sum(map(g, self.rows())) + len(self.rows())\n",
    );
}

#[test]
fn functions_that_take_lists() {
    check(
        "def total(values):\n    return sum(values)\n\nprint(total([f(x) for x in range(9)]))  # <-\n",
    );
    check(
        "def mean(values):\n    return sum(values) / len(values)\n\nprint(mean([f(x) for x in range(9)]))\n",
    );
    check(
        "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n\ndef run(xs):\n    rows = [f(x) for x in xs]  # <-\n    return total(values=rows)\n",
    );
}

#[test]
fn newer_syntax_is_read() {
    check(
        "type Row = list[int]\n\ndef first[T](rows: list[T]) -> T:\n    return rows[0]\n\nprint(f'{sum([x for x in range(9)])=} {'a' + f'{'b'}'}')  # <-\n",
    );
    check("match [x for x in range(9)]:\n    case [first, *rest]:\n        print(first, rest)\n");
    check("try:\n    pass\nexcept* ValueError as group:\n    print(group)\n");
    assert!(Module::read("def (:\n").is_err());
}

#[test]
fn what_is_said_of_one() {
    let source =
        "def run(xs):\n    values = list(\n        map(str, xs)\n    )\n    return set(values)\n";
    let module = Module::read(source).unwrap();
    let found = &module.single_passes(&HashSet::new())[0];
    assert_eq!(found.builder, Builder::Copy("list".into()));
    assert_eq!((found.first_line, found.last_line), (2, 4));
    assert_eq!((found.consumer.as_str(), found.consumer_line), ("set()", 5));
    assert_eq!(found.name.as_deref(), Some("values"));
    assert!(found.keeps_items && !found.is_global);
}

#[test]
fn a_name_others_import_is_innocent() {
    let source = "def load(xs):\n    return [f(x) for x in xs]\n\nprint(sum(load([1])))\n";
    let module = Module::read(source).unwrap();
    assert!(
        module
            .single_passes(&HashSet::from(["load".to_string()]))
            .is_empty()
    );
}

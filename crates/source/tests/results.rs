//! What is collected to be used when it is complete, and what piles up.

use wrasse_source::{Module, is_result};

fn result(source: &str, container: &str, adder: &str) -> bool {
    let module = Module::read(source).unwrap();
    is_result(&[&module], container, adder)
}

#[test]
fn an_index_is_asked_when_it_is_complete() {
    let source = "\
index = {}
def add(word, place):
    index.setdefault(word, []).append(place)
def show():
    for word in sorted(index):
        print(word, index[word])
def main():
    for number, line in enumerate(open('x')):
        for word in line.split():
            add(word, number)
    show()
main()
";
    assert!(result(source, "index", "add"));
}

#[test]
fn what_is_read_while_it_grows_is_no_result() {
    let source = "\
sessions = {}
def login(user):
    sessions[user] = object()
def look(user):
    return sessions[user]
def serve():
    for user in range(9):
        login(user)
        look(user)
    print(len(sessions))
serve()
";
    assert!(!result(source, "sessions", "login"));
    // Nobody knows when a callback is called.
    let source = "\
seen = []
@app.on('request')
def handle(request):
    note(request)
    last()
def note(request):
    seen.append(request)
def last():
    return seen[-1]
run()
print(seen)
";
    assert!(!result(source, "seen", "note"));
}

#[test]
fn its_length_is_no_use_of_it() {
    let source = "\
log = []
def work(n):
    log.append(n)
for n in range(9):
    work(n)
print(len(log))
";
    assert!(!result(source, "log", "work"));
    let used = source.replace("len(log)", "max(log)");
    assert!(result(&used, "log", "work"));
}

#[test]
fn an_attribute_that_an_object_is_built_for() {
    let source = "\
class Graph:
    def __init__(self):
        self.edges = {}
    def connect(self, a, b):
        self.edges.setdefault(a, []).append(b)
    def degree(self, a):
        return len(self.edges[a])
graph = Graph()
def load():
    for n in range(9):
        graph.connect(n, n + 1)
def main():
    load()
    print(max(graph.degree(n) for n in range(9)))
main()
";
    assert!(result(source, "edges", "connect"));
    let together = source.replace(
        "graph.connect(n, n + 1)",
        "graph.connect(n, n + 1); graph.degree(n)",
    );
    assert!(!result(&together, "edges", "connect"));
}

#[test]
fn modules_know_each_other() {
    let store = Module::read(
        "\
rows = []
def keep(row):
    rows.append(row)
def total():
    return sum(rows)
",
    )
    .unwrap();
    let main = Module::read(
        "\
import store
for n in range(9):
    store.keep(n)
print(store.total())
",
    )
    .unwrap();
    assert!(is_result(&[&main, &store], "rows", "keep"));
    assert!(!is_result(&[&store], "rows", "keep"));
}

#[test]
fn ways_to_a_function_are_not_counted() {
    let mut source = String::from(
        "\
rows = []
def fill():
    for n in range(9):
        rows.append(n)
def f0():
    fill()
    print(sum(rows))
",
    );
    for n in 1..60 {
        let before = n - 1;
        source += &format!("def f{n}(): f{before}() if n else f{before}()\n");
    }
    assert!(result(&(source.clone() + "f59()\n"), "rows", "fill"));
    // One of the ways leads to a loop.
    let looped = source.clone() + "f59()\nwhile True: f30()\n";
    assert!(!result(&looped, "rows", "fill"));
    let circle = source + "def g(): f59(); g()\ng()\n";
    assert!(!result(&circle, "rows", "fill"));
}

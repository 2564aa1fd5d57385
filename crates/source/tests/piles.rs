//! What is added to, and never looked at again.

use wrasse_source::{Module, is_asked, is_pile, is_result};

fn local(source: &str, name: &str) -> bool {
    let module = Module::read(source).unwrap();
    // The function begins in the first line.
    module.is_local_pile(1, name)
}

#[test]
fn nobody_reads_a_pile() {
    let source = "\
def main():
    history = []
    while True:
        history.append(step(history[-1]))
        if len(history) > 3 and history[-3:] == []:
            break
";
    assert!(local(source, "history"));
    // Given to functions that only add.
    let source = "\
def main():
    history = []
    while True:
        step(7, history)
def step(number, states):
    states.append(number)
";
    assert!(local(source, "history"));
}

#[test]
fn who_may_read_it_makes_it_none() {
    for use_ in [
        "return history",
        "print(history)",
        "for each in history: pass",
        "history[0]",
        "plot(history)",
        "json.dump(history, file)",
        "keep.it = history",
        "other = history",
        "show(history)",
        "total = sum(history)",
        "history.pop()",
    ] {
        let source = format!(
            "def main():\n    history = []\n    while True:\n        history.append(1)\n    {use_}\ndef show(all):\n    return sorted(all)\n"
        );
        assert!(!local(&source, "history"), "{use_}");
    }
    // Nothing is added.
    assert!(!local("def main():\n    history = load()\n", "history"));
    let closure = "\
def main():
    history = []
    def note(each):
        history.append(each)
    def last():
        return history[-1]
    run(note, last)
";
    assert!(local(closure, "history"));
    assert!(!local(&closure.replace("[-1]", "[0]"), "history"));
}

#[test]
fn attributes_are_read_where_they_are_loaded() {
    let source = "\
class App:
    def __init__(self):
        self.log = []
    def handle(self, request):
        self.log.append(request)
";
    let pile = |more: &str| {
        let source = format!("{source}{more}");
        is_pile(&[&Module::read(&source).unwrap()], "log")
    };
    assert!(pile(""));
    assert!(pile("    def size(self):\n        return len(self.log)\n"));
    assert!(!pile(
        "    def show(self):\n        for each in self.log: print(each)\n"
    ));
    assert!(!pile("    def get(self):\n        return self.log\n"));
    assert!(!pile(
        "    def find(self, x):\n        return x in self.log\n"
    ));
}

#[test]
fn an_attribute_that_is_iterated_over_in_the_end_is_a_result() {
    let source = "\
class Index:
    def __init__(self):
        self.words = {}
    def add(self, word):
        self.words[word] = 1
    def show(self):
        for word in self.words:
            print(word)
def main():
    index = Index()
    for word in open('x'):
        index.add(word)
    index.show()
main()
";
    let module = Module::read(source).unwrap();
    assert!(is_result(&[&module], "words", "add"));
}

#[test]
fn a_set_is_asked() {
    let asked = |source: &str| is_asked(&[&Module::read(source).unwrap()], "seen");
    assert!(asked("if url in self.seen: pass"));
    assert!(asked("def f(seen):\n    return 1 not in self.seen"));
    assert!(!asked("for url in self.seen: pass"));
}

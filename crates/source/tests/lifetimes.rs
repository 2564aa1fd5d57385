//! Last uses, containers that only grow, default values that change.

use wrasse_source::Module;

#[test]
fn the_last_use_of_a_local() {
    let source = "\
def run(path):
    text = read(path)
    words = text.split()
    for word in words:
        handle(word)
    finish()
";
    let module = Module::read(source).unwrap();
    assert!(!module.is_unused_from(1, "text", 3));
    assert!(module.is_unused_from(1, "text", 4));
    assert!(module.is_unused_from(1, "text", 6));
    assert_eq!(module.last_use(1, "text", 6), Some(3));
    assert!(module.is_unused_from(1, "words", 6));
    // The parameter is the caller's.
    assert!(module.is_unused_from(1, "path", 4));
    assert!(!module.is_unused_from(1, "nothing", 4));
}

#[test]
fn a_loop_comes_again() {
    let source = "\
def run(xs):
    table = load()
    while True:
        look(table)
        wait()
";
    let module = Module::read(source).unwrap();
    assert!(!module.is_unused_from(1, "table", 5));
}

#[test]
fn closures_and_globals() {
    let source = "\
data = load()
print(len(data))
kept = load()

def later():
    data = 1
    return kept

serve(later)
";
    let module = Module::read(source).unwrap();
    assert!(module.is_unused_from(0, "data", 9));
    assert!(!module.is_unused_from(0, "kept", 9));
}

#[test]
fn caches_without_bound() {
    let source = "\
CACHE = {}
BOUNDED = {}
TABLE = {}
LOG = []

for number in range(9):
    TABLE[number] = number

def look(key):
    if key not in CACHE:
        CACHE[key] = compute(key)
    return CACHE[key]

def bounded(key):
    if len(BOUNDED) > 100:
        BOUNDED.popitem()
    BOUNDED[key] = compute(key)

class Session:
    history = []

    def act(self, what):
        Session.history.append(what)
        LOG.append(what)
";
    let module = Module::read(source).unwrap();
    let found = module.growing();
    let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["CACHE", "LOG", "Session.history"]);
    assert!(found["CACHE"].is_cache);
    assert_eq!((found["CACHE"].made_at, found["CACHE"].added_at), (1, 11));
    assert!(!found["LOG"].is_cache && !found["LOG"].is_read);
    assert_eq!(found["Session.history"].function, "act");
}

#[test]
fn a_deque_with_a_length_is_bounded() {
    let source = "\
from collections import deque
ENDLESS = deque()
FILLED = deque([1, 2])
NAMED = deque(maxlen=100)
SECOND = deque([], 100)

def note(what):
    ENDLESS.append(what)
    FILLED.append(what)
    NAMED.append(what)
    SECOND.append(what)
";
    let found = Module::read(source).unwrap().growing();
    let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["ENDLESS", "FILLED"]);
}

#[test]
fn changed_default_values() {
    let source = "\
def add(item, all=[]):
    all.append(item)
    return all

def look(item, table={1: 2}):
    return table[item]
";
    let module = Module::read(source).unwrap();
    assert_eq!(module.changed_default(1, "all"), Some(2));
    assert_eq!(module.changed_default(1, "item"), None);
    assert_eq!(module.changed_default(5, "table"), None);
}

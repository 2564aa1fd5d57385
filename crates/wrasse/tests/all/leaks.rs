//! Reports of what is alive and why.

use std::cell::RefCell;

use wrasse::{Gc, Trace, gc, leaks};

#[derive(Trace)]
struct Owner {
    name: &'static str,
    items: RefCell<Vec<Gc<Item>>>,
    best: RefCell<Option<Gc<Item>>>,
}

#[derive(Trace)]
enum Item {
    Leaf { owner: RefCell<Option<Gc<Owner>>> },
    Pair(Gc<Item>, Gc<Item>),
}

fn leaf() -> Gc<Item> {
    Gc::new(Item::Leaf {
        owner: RefCell::default(),
    })
}

#[test]
fn objects_are_counted_and_explained() {
    let owner = Gc::new(Owner {
        name: "o",
        items: RefCell::default(),
        best: RefCell::default(),
    });
    assert_eq!(owner.name, "o");
    let (a, b) = (leaf(), leaf());
    if let Item::Leaf { owner: back } = &*a {
        *back.borrow_mut() = Some(owner.clone());
    }
    let pair = Gc::new(Item::Pair(a.clone(), b));
    owner.items.borrow_mut().push(pair.clone());
    *owner.best.borrow_mut() = Some(pair);

    let report = wrasse::leaks();
    let count = |name: &str| {
        report
            .types
            .iter()
            .find(|c| c.name.ends_with(name))
            .unwrap()
            .count
    };
    assert_eq!((count("Owner"), count("Item")), (1, 3));
    let held: Vec<_> = report.held.iter().map(|held| held.references).collect();
    assert_eq!(held, [1, 1], "the owner and one leaf");
    assert!(report.to_string().starts_with("4 objects, "), "{report}");
    drop(report);

    let path: Vec<&str> = leaks::why(&a).iter().map(|step| step.field).collect();
    assert!(path == ["items", "0"] || path == ["best", "0"], "{path:?}");
    let path: Vec<&str> = leaks::why(&owner).iter().map(|s| s.field).collect();
    assert_eq!(path, ["owner"], "from the leaf that is held");
    let other = a.clone();
    assert!(leaks::why(&a).is_empty(), "it is held itself");
    drop(other);

    let dot = leaks::graph();
    assert_eq!(dot.matches("style=bold").count(), 2);
    assert_eq!(dot.matches("->").count(), 5, "{dot}");
    for field in ["items", "best", "owner", "0", "1"] {
        assert!(
            dot.contains(&format!("[label=\"{field}\"]")),
            "{field} in {dot}"
        );
    }
    drop((a, owner));
    gc::collect();
    assert_eq!(wrasse::leaks().to_string(), "0 objects, 0 bytes\n");
}

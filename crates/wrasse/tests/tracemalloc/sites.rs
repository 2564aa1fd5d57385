//! Allocation sites in the reports of what is alive.

use std::cell::RefCell;

use wrasse::{Gc, Trace, leaks, tracemalloc};

use crate::{alone, marked};

fn line(mark: &str) -> u32 {
    marked(include_str!("sites.rs"), mark)
}

#[derive(Trace)]
struct Parent {
    children: RefCell<Vec<Gc<Child>>>,
}

#[derive(Trace)]
struct Child {
    parent: RefCell<Option<Gc<Parent>>>,
}

fn child() -> Gc<Child> {
    let parent = RefCell::default();
    Gc::new(Child { parent }) // child
}

#[test]
fn leaks_tell_the_line() {
    let _alone = alone();
    let before = child();
    tracemalloc::start(2);
    let children = RefCell::default();
    let parent = Gc::new(Parent { children }); // parent
    for _ in 0..3 {
        let child = child();
        *child.parent.borrow_mut() = Some(parent.clone());
        parent.children.borrow_mut().push(child);
    }
    let report = wrasse::leaks();
    let sites: Vec<_> = report
        .sites
        .iter()
        .map(|site| {
            let name = site.name.rsplit("::").next().unwrap();
            let line = site.site.rsplit(':').next().unwrap();
            (name, line.parse().unwrap(), site.count, site.bytes)
        })
        .collect();
    let size = size_of::<Child>();
    assert_eq!(
        sites,
        [
            ("Child", line("child"), 3, 3 * size),
            ("Parent", line("parent"), 1, size_of::<Parent>()),
        ]
    );
    assert_eq!(report.types[0].count, 4, "one was there before");
    let held = |address: *const ()| {
        let found = report
            .held
            .iter()
            .find(|held| held.object.address() == address);
        found.map(|held| held.site.clone())
    };
    assert_eq!(held(Gc::as_ptr(&before).cast()), Some(None));
    let site = held(Gc::as_ptr(&parent).cast()).unwrap().unwrap();
    assert!(
        site.ends_with(&format!("sites.rs:{}", line("parent"))),
        "{site}"
    );
    let text = report.to_string();
    assert!(text.contains("allocated at:\n"), "{text}");
    assert!(
        text.contains(&format!("sites.rs:{}\n", line("child"))),
        "{text}"
    );

    let dot = leaks::graph();
    assert_eq!(
        dot.matches(&format!("sites.rs:{}\"", line("child")))
            .count(),
        3,
        "{dot}"
    );
    assert!(
        dot.contains(r"Parent\n/"),
        "the type, and the line below it: {dot}"
    );

    drop(report);
    tracemalloc::stop();
    assert!(wrasse::leaks().sites.is_empty());
    assert!(!leaks::graph().contains("sites.rs"));
    parent.children.borrow_mut().clear();
}

//! A tree of elements that know their parents and siblings, as in a browser,
//! with trait objects, a cache that does not keep elements alive, and notes on
//! elements that go with them.
//!
//! `cargo run --example dom`

use std::cell::RefCell;

use wrasse::{Gc, Trace, WeakKeyMap, WeakValueMap, coerce, gc};

trait Node: Trace {
    fn text(&self) -> String;
    fn set_parent(&self, parent: Gc<Element>);
    fn parent(&self) -> Option<Gc<Element>>;
}

#[derive(Trace)]
struct Element {
    name: &'static str,
    parent: RefCell<Option<Gc<Element>>>,
    children: RefCell<Vec<Gc<dyn Node>>>,
}

#[derive(Trace)]
struct Text {
    text: String,
    parent: RefCell<Option<Gc<Element>>>,
}

impl Node for Element {
    fn text(&self) -> String {
        let children = self.children.borrow();
        let inner: String = children.iter().map(|child| child.text()).collect();
        format!("<{0}>{inner}</{0}>", self.name)
    }

    fn set_parent(&self, parent: Gc<Element>) {
        self.parent.replace(Some(parent));
    }

    fn parent(&self) -> Option<Gc<Element>> {
        self.parent.borrow().clone()
    }
}

impl Node for Text {
    fn text(&self) -> String {
        self.text.clone()
    }

    fn set_parent(&self, parent: Gc<Element>) {
        self.parent.replace(Some(parent));
    }

    fn parent(&self) -> Option<Gc<Element>> {
        self.parent.borrow().clone()
    }
}

fn element(name: &'static str, children: Vec<Gc<dyn Node>>) -> Gc<Element> {
    let element = Gc::new(Element {
        name,
        parent: RefCell::default(),
        children: RefCell::default(),
    });
    for child in children {
        child.set_parent(element.clone());
        element.children.borrow_mut().push(child);
    }
    element
}

fn text(text: &str) -> Gc<dyn Node> {
    coerce!(Gc::new(Text { text: text.into(), parent: RefCell::default() }) => dyn Node)
}

fn node(element: &Gc<Element>) -> Gc<dyn Node> {
    coerce!(element.clone() => dyn Node)
}

fn main() {
    let mut by_id = WeakValueMap::new();
    let mut listeners: WeakKeyMap<Element, RefCell<Vec<Gc<Element>>>> = WeakKeyMap::new();

    let item = element("li", vec![text("wrasse")]);
    let list = element(
        "ul",
        vec![node(&element("li", vec![text("cod")])), node(&item)],
    );
    let body = element("body", vec![node(&list)]);
    by_id.insert("list", &list);
    by_id.insert("item", &item);
    // What is noted on an element may refer to the element itself.
    listeners.insert(
        &item,
        Gc::new(RefCell::new(vec![item.clone(), body.clone()])),
    );

    println!("{}", body.text());
    let up = item
        .parent()
        .and_then(|list| list.parent())
        .expect("the body");
    assert!(Gc::ptr_eq(&up, &body));
    drop((up, item, list));
    assert_eq!(gc::collect(), 0, "the body holds everything");
    assert_eq!((by_id.len(), listeners.len()), (2, 1));

    body.children.borrow_mut().clear();
    let freed = gc::collect();
    println!(
        "the list was taken out: {freed} objects freed, {}",
        body.text()
    );
    assert_eq!((by_id.len(), listeners.len()), (0, 0));
}

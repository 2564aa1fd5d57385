//! The derive macro: every shape of type, and the messages for mistakes.

#![allow(dead_code, reason = "fields are there to be traced")]

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Mutex;

use wrasse::{Gc, Trace, gc};

type Leaf = Gc<Vec<Gc<u8>>>;

fn leaf() -> Leaf {
    Gc::new(Vec::new())
}

/// How many references `value` reports.
fn reported<T: Trace>(value: T) -> usize {
    gc::referents(&Gc::new(value)).len()
}

#[derive(Trace)]
struct Unit;

#[derive(Trace)]
struct Tuple(Leaf, u8, Leaf);

#[derive(Trace)]
struct Named {
    one: Leaf,
    #[trace(skip)]
    skipped: Rc<Leaf>,
    two: Option<Leaf>,
}

#[derive(Trace)]
enum Shape<T, const N: usize> {
    Nothing,
    One(T),
    Several {
        items: [T; N],
        #[trace(skip)]
        label: &'static str,
    },
    Nested(Box<Shape<T, N>>),
}

#[derive(Trace)]
enum Never {}

#[derive(Trace)]
struct Generic<K: Ord, V = K>
where
    V: Clone,
{
    map: BTreeMap<K, V>,
    marker: PhantomData<fn(K)>,
}

#[test]
fn every_shape() {
    assert_eq!(reported(Unit), 0);
    assert_eq!(reported(Tuple(leaf(), 1, leaf())), 2);
    assert_eq!(
        reported(Named {
            one: leaf(),
            skipped: Rc::new(leaf()),
            two: Some(leaf())
        }),
        2
    );
    assert_eq!(reported(Shape::<Leaf, 3>::Nothing), 0);
    assert_eq!(reported(Shape::<Leaf, 3>::One(leaf())), 1);
    let several = Shape::Several {
        items: [leaf(), leaf(), leaf()],
        label: "",
    };
    assert_eq!(reported(Shape::Nested(Box::new(several))), 3);
    let map = BTreeMap::from([(1, leaf()), (2, leaf())]);
    assert_eq!(
        reported(Generic {
            map,
            marker: PhantomData
        }),
        2
    );
}

#[test]
fn containers_report_each_element() {
    assert_eq!(reported(vec![leaf(), leaf()]), 2);
    assert_eq!(reported(VecDeque::from([leaf()])), 1);
    assert_eq!(reported(LinkedList::from([leaf()])), 1);
    assert_eq!(reported(HashMap::from([(1, leaf()), (2, leaf())])), 2);
    assert_eq!(reported(BTreeMap::from([(leaf(), leaf())])), 2);
    assert_eq!(reported(HashSet::from([leaf()])), 1, "equal by value");
    assert_eq!(reported(BTreeSet::from([leaf()])), 1);
    assert_eq!(reported(Some(Ok::<Leaf, Leaf>(leaf()))), 1);
    assert_eq!(reported(Cell::new(Some(leaf()))), 1);
    assert_eq!(reported(RefCell::new([leaf(), leaf()])), 2);
    assert_eq!(reported(OnceCell::from(leaf())), 1);
    assert_eq!(reported(Mutex::new(leaf())), 1);
    assert_eq!(reported((leaf(), 1, "x", String::new(), leaf())), 2);
    assert_eq!(reported(Box::new(leaf()) as Box<dyn Trace>), 1);
    assert_eq!(reported(vec![leaf()].into_boxed_slice()), 1);
}

#[test]
fn what_cannot_refer_is_not_tracked() {
    assert!(!gc::is_tracked(&Gc::new(String::from("text"))));
    assert!(!gc::is_tracked(&Gc::new((1, [2.0], Some('x')))));
    assert!(!gc::is_tracked(&Gc::new(Unit)));
    assert!(!gc::is_tracked(&Gc::new(vec![1, 2, 3])));
    assert!(gc::is_tracked(&Gc::new(Some(leaf()))));
    assert!(gc::is_tracked(&Gc::new(RefCell::new(Vec::<Leaf>::new()))));
}

#[test]
fn a_skipped_reference_keeps_its_object_alive() {
    #[derive(Trace)]
    struct Node {
        me: RefCell<Option<Gc<Node>>>,
        #[trace(skip)]
        hidden: RefCell<Option<Gc<Node>>>,
    }
    let a = Gc::new(Node {
        me: RefCell::default(),
        hidden: RefCell::default(),
    });
    *a.hidden.borrow_mut() = Some(a.clone());
    let weak = Gc::downgrade(&a);
    drop(a);
    assert_eq!(gc::collect(), 0);
    let a = weak.upgrade().unwrap();
    *a.hidden.borrow_mut() = None;
    *a.me.borrow_mut() = Some(a.clone());
    drop(a);
    assert_eq!(gc::collect(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "runs the compiler")]
fn mistakes_get_a_message() {
    // The messages are those of one compiler; others word them differently.
    const COMPILER: &str = "rustc 1.95.";
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc)
        .arg("--version")
        .output()
        .unwrap();
    if !version.stdout.starts_with(COMPILER.as_bytes()) {
        eprintln!("not {COMPILER}: messages are not compared");
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass_*.rs");
    cases.compile_fail("tests/ui/fail_*.rs");
}

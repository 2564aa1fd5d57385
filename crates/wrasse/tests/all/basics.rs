//! What `Gc` has in common with `Rc`.

use std::cell::RefCell;
use std::collections::HashSet;

use wrasse::{Gc, Trace, Weak, coerce, gc};

#[test]
fn counts() {
    let a = Gc::new(RefCell::new(1));
    let b = a.clone();
    *b.borrow_mut() += 1;
    assert_eq!((Gc::ref_count(&a), *a.borrow()), (2, 2));
    assert!(Gc::ptr_eq(&a, &b));
    drop(a);
    assert_eq!(Gc::ref_count(&b), 1);
    assert_eq!(size_of::<Option<Gc<u8>>>(), size_of::<usize>());
}

#[test]
fn values_can_be_taken_out() {
    let a = Gc::new(String::from("a"));
    let b = a.clone();
    let weak = Gc::downgrade(&a);
    let a = Gc::try_unwrap(a).unwrap_err();
    drop(b);
    assert!(weak.upgrade().is_some());
    assert_eq!(Gc::try_unwrap(a).unwrap(), "a");
    assert!(weak.upgrade().is_none());
    let a = Gc::new(3);
    let b = a.clone();
    assert_eq!((Gc::unwrap_or_clone(a), Gc::unwrap_or_clone(b)), (3, 3));
}

#[test]
fn exclusive_access() {
    let mut a = Gc::new(vec![1]);
    Gc::get_mut(&mut a).unwrap().push(2);
    let weak = Gc::downgrade(&a);
    assert!(
        Gc::get_mut(&mut a).is_none(),
        "a weak reference could look on"
    );
    Gc::make_mut(&mut a).push(3);
    assert!(weak.upgrade().is_none());
    drop(weak);
    let b = a.clone();
    assert!(Gc::get_mut(&mut a).is_none());
    Gc::make_mut(&mut a).push(4);
    assert_eq!((&*a, &*b), (&vec![1, 2, 3, 4], &vec![1, 2, 3]));
}

#[test]
fn the_collector_does_not_look_while_borrowed_exclusively() {
    let child = Gc::new(RefCell::new(Vec::<Gc<i32>>::new()));
    let mut parent = Gc::new(vec![child.clone()]);
    let mut value = Gc::get_mut(&mut parent).unwrap();
    value.push(Gc::new(RefCell::new(vec![Gc::new(1)])));
    drop(child);
    gc::collect();
    assert_eq!(value.len(), 2);
    assert!(gc::objects().iter().all(|object| object.ref_count() > 0));
    value.clear();
    drop(value);
    assert!(gc::is_tracked(&parent));
}

#[test]
fn traits_as_of_rc() {
    let a = Gc::new(1);
    let b = Gc::new(2);
    assert!(a < b && a != b && a == Gc::new(1));
    assert_eq!(format!("{a} {b:?}"), "1 2");
    assert_eq!(format!("{a:p}"), format!("{:p}", Gc::as_ptr(&a)));
    let set: HashSet<Gc<i32>> = [a.clone(), Gc::new(1), b].into_iter().collect();
    assert_eq!(set.len(), 2);
    assert!(set.contains(&1));
    assert_eq!(*Gc::<i32>::default(), 0);
    assert_eq!(*Gc::from(4), 4);
}

#[test]
fn slices() {
    let slice: Gc<[Gc<String>]> = (0..5).map(|n| Gc::new(n.to_string())).collect();
    let again = slice.clone();
    assert_eq!(again.len(), 5);
    assert_eq!(**again[3], *"3");
    let empty: Gc<[u64]> = Vec::new().into();
    assert!(empty.is_empty());
    let nothing: Gc<[()]> = vec![(); 7].into();
    assert_eq!(nothing.len(), 7);
}

trait Named: Trace {
    fn name(&self) -> String;
}

#[derive(Trace)]
struct Cat {
    name: String,
    friend: RefCell<Option<Gc<dyn Named>>>,
}

impl Named for Cat {
    fn name(&self) -> String {
        self.name.clone()
    }
}

#[test]
fn trait_objects() {
    let cat = Gc::new(Cat {
        name: "Tom".into(),
        friend: RefCell::default(),
    });
    let named: Gc<dyn Named> = coerce!(cat.clone() => dyn Named);
    assert_eq!(named.name(), "Tom");
    *cat.friend.borrow_mut() = Some(named.clone());
    let weak = Gc::downgrade(&named);
    assert_eq!(weak.upgrade().unwrap().name(), "Tom");
    drop((cat, named));
    assert_eq!(gc::collect(), 1);
    assert!(weak.upgrade().is_none());
}

#[test]
fn every_size_and_alignment() {
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Aligned(u8);
    // SAFETY: owns no `Gc`.
    unsafe impl Trace for Aligned {
        fn trace(&self, _: &mut wrasse::Tracer<'_>) {}
    }
    fn check<T: Trace + PartialEq + std::fmt::Debug + Clone>(value: T) {
        let all: Vec<Gc<T>> = (0..100).map(|_| Gc::new(value.clone())).collect();
        for gc in &all {
            assert_eq!(Gc::as_ptr(gc) as usize % align_of::<T>(), 0);
            assert_eq!(**gc, value);
        }
    }
    check(());
    check(7_u8);
    check(7_u128);
    check([1_u64; 15]);
    check([1_u128; 15]);
    check([3_u8; 300]);
    check(vec![9_u64; 3]);
    check([1_u64; 254]);
    check([1_u64; 255]);
    check([1_u64; 1000]);
    let aligned: Vec<_> = (0..9).map(|n| Gc::new(Aligned(n))).collect();
    for (n, gc) in aligned.iter().enumerate() {
        assert_eq!(Gc::as_ptr(gc) as usize % 64, 0);
        assert_eq!(gc.0 as usize, n);
    }
}

#[test]
fn new_cyclic() {
    #[derive(Trace)]
    struct Me {
        me: Weak<Me>,
        name: String,
    }
    let me = Gc::new_cyclic(|weak| {
        assert!(weak.upgrade().is_none());
        gc::collect();
        Me {
            me: weak.clone(),
            name: "me".into(),
        }
    });
    assert_eq!(me.me.upgrade().unwrap().name, "me");
    assert_eq!((Gc::ref_count(&me), Gc::weak_count(&me)), (1, 1));
}

#[test]
fn weak_references() {
    let none = Weak::<String>::new();
    assert!(none.upgrade().is_none());
    assert_eq!((none.ref_count(), none.weak_count()), (0, 0));
    let a = Gc::new(String::from("a"));
    let (one, two) = (Gc::downgrade(&a), Gc::downgrade(&a));
    assert!(one.ptr_eq(&two) && !one.ptr_eq(&none));
    assert_eq!(
        (one.weak_count(), one.ref_count(), Gc::weak_count(&a)),
        (2, 1, 2)
    );
    drop(two);
    let three = one.clone();
    drop(a);
    assert!(one.upgrade().is_none() && three.upgrade().is_none());
    assert_eq!((one.ref_count(), one.weak_count()), (0, 0));
}

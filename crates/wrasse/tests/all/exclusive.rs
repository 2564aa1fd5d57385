//! Exclusive access, and code of the program that runs where one does not
//! expect any: nobody else may get at the value meanwhile.

use std::cell::{Cell, RefCell};

use wrasse::{Gc, Trace, Weak, WeakKeyMap, gc};

type Shared = (Noisy, RefCell<Option<Gc<u8>>>);

/// Something that does what it is told when it is dropped or cloned.
#[derive(Default)]
struct Noisy(RefCell<Option<Box<dyn FnOnce()>>>);

// SAFETY: owns no `Gc` that it reports.
unsafe impl Trace for Noisy {
    fn trace(&self, _: &mut wrasse::Tracer<'_>) {}
}

impl Drop for Noisy {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

impl Clone for Noisy {
    fn clone(&self) -> Self {
        if let Some(action) = self.0.take() {
            action();
        }
        Self::default()
    }
}

thread_local! {
    static STOLEN: RefCell<Vec<Gc<Shared>>> = const { RefCell::new(Vec::new()) };
    static OWN: RefCell<Option<Gc<Shared>>> = const { RefCell::new(None) };
}

/// Takes references to all objects of the type that can be found.
fn steal() {
    let found = gc::objects()
        .iter()
        .filter_map(|object| object.downcast::<Shared>())
        .collect::<Vec<_>>();
    STOLEN.with_borrow_mut(|stolen| stolen.extend(found));
}

fn shared() -> Gc<Shared> {
    Gc::new((Noisy::default(), RefCell::default()))
}

/// While `access` is exclusive, none of the stolen references leads to the same value.
fn check_alone(access: &mut Shared) {
    let mine: *const Shared = access;
    for other in STOLEN.take() {
        assert!(
            !std::ptr::eq(Gc::as_ptr(&other), mine),
            "somebody else has the value too"
        );
    }
}

#[test]
fn a_callback_that_make_mut_drops_takes_a_reference() {
    let mut object = shared();
    let noisy = Noisy(RefCell::new(Some(Box::new(steal))));
    let watch = Gc::downgrade_with(&object, move || drop(noisy));
    let mut access = Gc::make_mut(&mut object);
    check_alone(&mut access);
    drop(access);
    assert!(watch.upgrade().is_none());
}

#[test]
fn a_value_that_make_mut_drops_takes_a_reference() {
    // While the value is cloned, the other reference goes, so that it is
    // `make_mut` that drops the old object, when the new one is there already.
    let mut object = shared();
    OWN.set(Some(object.clone()));
    let at_end = || *object_noise(&OWN.take().unwrap()) = Some(Box::new(steal));
    *object_noise(&object) = Some(Box::new(at_end));
    let mut access = Gc::make_mut(&mut object);
    check_alone(&mut access);
}

fn object_noise(object: &Gc<Shared>) -> std::cell::RefMut<'_, Option<Box<dyn FnOnce()>>> {
    object.0.0.borrow_mut()
}

#[test]
fn a_value_attached_to_a_key_takes_a_reference() {
    let mut object = shared();
    let mut map = WeakKeyMap::new();
    map.insert(&object, Gc::new(Noisy(RefCell::new(Some(Box::new(steal))))));
    let mut access = Gc::make_mut(&mut object);
    check_alone(&mut access);
    drop(access);
    assert!(map.get(&object).is_none(), "the entry was cut off");
}

#[test]
fn a_finalizer_in_the_collection_that_make_mut_began() {
    thread_local!(static RAN: Cell<bool> = const { Cell::new(false) });
    let mut object = shared();
    let other = object.clone();
    let garbage = Gc::new((
        Noisy(RefCell::new(Some(Box::new(|| {
            steal();
            RAN.set(true);
        })))),
        RefCell::new(None::<Gc<dyn Trace>>),
    ));
    *garbage.1.borrow_mut() = Some(wrasse::coerce!(garbage.clone() => dyn Trace));
    drop(garbage);
    gc::set_threshold([1, 1, 1]);
    let mut access = Gc::make_mut(&mut object);
    gc::set_threshold([10_000, 10, 10]);
    assert!(RAN.get(), "a collection ran");
    check_alone(&mut access);
    drop((access, other));
}

#[test]
fn with_weak_references_under_collection() {
    gc::set_threshold([1, 1, 1]);
    for round in 0..20 {
        let mut object = Gc::new(RefCell::new(vec![Gc::new(round)]));
        let weak = Gc::downgrade(&object);
        assert!(Gc::get_mut(&mut object).is_none());
        {
            let mut access = Gc::make_mut(&mut object);
            gc::collect();
            assert!(weak.upgrade().is_none());
            access.get_mut().push(Gc::new(1));
            assert_eq!((weak.ref_count(), weak.weak_count()), (0, 0));
        }
        let again = Gc::downgrade(&object);
        let value = Gc::try_unwrap(object).unwrap();
        gc::collect();
        assert!(again.upgrade().is_none());
        assert_eq!(*value.borrow()[0], round);
        // The weak references outlive everything.
        drop((value, weak, again));
    }
    gc::set_threshold([10_000, 10, 10]);
}

#[test]
fn a_callback_that_try_unwrap_drops_finds_nothing() {
    let object = shared();
    let noisy = Noisy(RefCell::new(Some(Box::new(steal))));
    let watch = Gc::downgrade_with(&object, move || drop(noisy));
    let mut value = Gc::try_unwrap(object).ok().unwrap();
    assert_eq!(STOLEN.with_borrow(Vec::len), 0);
    check_alone(&mut value);
    drop(watch);
}

#[test]
fn a_value_that_nobody_else_sees_any_more_stays_out_of_sight() {
    let mut object = Gc::new(vec![Gc::new(vec![Gc::new(1_u8)])]);
    std::mem::forget(Gc::get_mut(&mut object));
    let weak: Weak<_> = Gc::downgrade(&object);
    assert!(!gc::is_tracked(&object));
    drop(object);
    assert!(weak.upgrade().is_none());
    gc::collect();
    assert_eq!(gc::objects().len(), 0);
}

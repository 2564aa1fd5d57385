//! The heap checker, compiled in by the feature `sanity`.
//!
//! Walks every generation before and after each collection and aborts with one
//! line at the first thing that must not be: a broken link, a flag that belongs
//! to a running collection, a dead object that is still tracked. Costs several
//! times the collection itself; for tests.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pyo3_ffi::*;

use crate::layout::GcState;
use crate::list::{Link, object_of};

/// Checks all lists of the interpreter whose collector state is `state`.
///
/// # Safety
/// The GIL is held and no collection is between two of its phases.
pub unsafe fn check(state: *mut GcState, when: &str) {
    let start = Instant::now();
    // SAFETY: the caller's contract; each word is checked before it is followed.
    unsafe {
        for generation in 0..3 {
            check_list(&raw mut (*state).generations[generation].head, when);
        }
        check_list(&raw mut (*state).permanent.head, when);
    }
    SPENT.set(SPENT.get() + start.elapsed());
}

thread_local! {
    /// What checks have taken in this thread since it was last asked.
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What this thread's checks have taken since this was last asked: who plans pauses
/// leaves it out, or else no pause would have any time for what it is for.
pub fn take_spent() -> Duration {
    SPENT.take()
}

unsafe fn check_list(head: Link, when: &str) {
    // SAFETY: see `check`.
    unsafe {
        let mut prev = head;
        let mut link = (*head).next as Link;
        loop {
            if link.is_null() || !link.is_aligned() {
                fail(when, link, "its link is no address");
            }
            let word = (*link).prev;
            if word & !3 != prev as usize {
                fail(when, link, "its neighbours do not agree");
            }
            if link == head {
                return;
            }
            if word & 2 != 0 {
                fail(when, link, "it is still on trial");
            }
            let object = object_of(link);
            if Py_REFCNT(object) == 0 {
                fail(when, link, "it is dead and still tracked");
            }
            let kind = Py_TYPE(object);
            if kind.is_null() || (*kind).tp_flags & Py_TPFLAGS_HAVE_GC == 0 {
                fail(when, link, "its type cannot be tracked");
            }
            prev = link;
            link = (*link).next as Link;
        }
    }
}

#[cold]
fn fail(when: &str, link: Link, what: &str) -> ! {
    crate::boot::say(&format!(
        "heap check {when} a collection: object at {link:p}: {what}"
    ));
    std::process::abort()
}

//! [`Trace`] for the types of the standard library.
//!
//! There is none for `Rc`, `Arc` and references: several of them may lead to the
//! same `Gc`, which would then be reported more often than it is counted.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::mem;
use std::ops::{Bound, ControlFlow, Range, RangeFrom, RangeInclusive, RangeTo};
use std::sync::{Mutex, OnceLock, RwLock};

use crate::trace::{Trace, Tracer};

/// Types that never own a `Gc`.
macro_rules! leaf {
    ([$($generics:tt)*] $type:ty) => {
        // SAFETY: owns no `Gc`.
        unsafe impl<$($generics)*> Trace for $type {
            #[inline]
            fn trace(&self, _: &mut Tracer<'_>) {}

            #[inline]
            fn can_refer() -> bool {
                false
            }
        }
    };
    ($($type:ty)*) => {$(leaf! { [] $type })*};
}

leaf! {
    () bool char String u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64
    std::num::NonZeroU8 std::num::NonZeroU16 std::num::NonZeroU32 std::num::NonZeroU64
    std::num::NonZeroU128 std::num::NonZeroUsize std::num::NonZeroI8 std::num::NonZeroI16
    std::num::NonZeroI32 std::num::NonZeroI64 std::num::NonZeroI128 std::num::NonZeroIsize
    std::sync::atomic::AtomicBool std::sync::atomic::AtomicU8 std::sync::atomic::AtomicU16
    std::sync::atomic::AtomicU32 std::sync::atomic::AtomicU64
    std::sync::atomic::AtomicUsize std::sync::atomic::AtomicI8 std::sync::atomic::AtomicI16
    std::sync::atomic::AtomicI32 std::sync::atomic::AtomicI64
    std::sync::atomic::AtomicIsize std::time::Duration std::time::Instant
    std::time::SystemTime std::path::PathBuf Box<std::path::Path> std::ffi::OsString
    Box<std::ffi::OsStr> std::ffi::CString Box<std::ffi::CStr> std::rc::Rc<str>
    std::sync::Arc<str> std::net::IpAddr std::net::SocketAddr std::thread::ThreadId
    std::any::TypeId std::cmp::Ordering
}
leaf! { [T: ?Sized + 'static] PhantomData<T> }
leaf! { [T: ?Sized + 'static] &'static T }
leaf! { [R: 'static] fn() -> R }
leaf! { [A: 'static, R: 'static] fn(A) -> R }

/// Types whose contents `iter` goes through.
macro_rules! container {
    ($($type:ident<$($parameter:ident),*> $(where $($other:ident)*)?;)*) => {$(
        // SAFETY: reports each element once, and no element is shared. Dropping
        // it drops the elements and runs no code of theirs that could look at
        // others, if their own `Trace` is right.
        unsafe impl<$($parameter: Trace),* $($(, $other: 'static)*)?> Trace
            for $type<$($parameter),* $($(, $other)*)?>
        {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                for element in self.iter() {
                    element.trace_element(tracer);
                }
            }

            #[inline]
            fn can_refer() -> bool {
                // Whether the elements can is not asked: they may be of the type
                // that is asking.
                $(mem::needs_drop::<$parameter>())||*
            }
        }
    )*};
}

/// What iterators of containers yield.
trait Element {
    fn trace_element(&self, tracer: &mut Tracer<'_>);
}

impl<T: Trace> Element for &T {
    #[inline]
    fn trace_element(&self, tracer: &mut Tracer<'_>) {
        (**self).trace(tracer);
    }
}

impl<K: Trace, V: Trace> Element for (&K, &V) {
    #[inline]
    fn trace_element(&self, tracer: &mut Tracer<'_>) {
        self.0.trace(tracer);
        self.1.trace(tracer);
    }
}

container! {
    Vec<T>;
    VecDeque<T>;
    LinkedList<T>;
    BinaryHeap<T>;
    BTreeSet<T>;
    BTreeMap<K, V>;
    HashSet<T> where S;
    HashMap<K, V> where S;
}

/// Types that hold at most one value of each parameter, in place.
macro_rules! inline {
    ($($type:ident<$($parameter:ident),*> |$this:ident, $tracer:ident| $trace:expr;)*) => {$(
        // SAFETY: reports each value once, and no value is shared.
        unsafe impl<$($parameter: Trace),*> Trace for $type<$($parameter),*> {
            #[inline]
            fn trace(&self, $tracer: &mut Tracer<'_>) {
                let $this = self;
                $trace
            }

            #[inline]
            fn can_refer() -> bool {
                $($parameter::can_refer())||*
            }
        }
    )*};
}

inline! {
    Option<T> |this, tracer| if let Some(value) = this {
        value.trace(tracer);
    };
    Result<T, E> |this, tracer| match this {
        Ok(value) => value.trace(tracer),
        Err(error) => error.trace(tracer),
    };
    ControlFlow<B, C> |this, tracer| match this {
        ControlFlow::Break(value) => value.trace(tracer),
        ControlFlow::Continue(value) => value.trace(tracer),
    };
    Bound<T> |this, tracer| match this {
        Bound::Included(value) | Bound::Excluded(value) => value.trace(tracer),
        Bound::Unbounded => {}
    };
    Range<T> |this, tracer| {
        this.start.trace(tracer);
        this.end.trace(tracer);
    };
    RangeInclusive<T> |this, tracer| {
        this.start().trace(tracer);
        this.end().trace(tracer);
    };
    RangeFrom<T> |this, tracer| this.start.trace(tracer);
    RangeTo<T> |this, tracer| this.end.trace(tracer);
    OnceCell<T> |this, tracer| if let Some(value) = this.get() {
        value.trace(tracer);
    };
    OnceLock<T> |this, tracer| if let Some(value) = this.get() {
        value.trace(tracer);
    };
    Reverse<T> |this, tracer| this.0.trace(tracer);
    Wrapping<T> |this, tracer| this.0.trace(tracer);
}

use std::cmp::Reverse;
use std::num::Wrapping;

// SAFETY: as for `inline!`. The contents are only looked at, which nobody can
// notice: a `Cell` hands out no references that tracing could run into, since
// its methods run no code of the program while they change it.
unsafe impl<T: Trace> Trace for Cell<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        // SAFETY: see above.
        unsafe { (*self.as_ptr()).trace(tracer) }
    }

    #[inline]
    fn can_refer() -> bool {
        T::can_refer()
    }
}

// SAFETY: reports nothing while the contents are mutably borrowed, which keeps
// them alive; nobody can change them without such a borrow.
unsafe impl<T: Trace + ?Sized> Trace for RefCell<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Ok(value) = self.try_borrow() {
            value.trace(tracer);
        }
    }

    fn fields(&self, visit: &mut dyn FnMut(&'static str, &dyn Trace)) {
        if let Ok(value) = self.try_borrow() {
            value.fields(visit);
        }
    }
}

/// Locks: reports nothing while locked, as `RefCell` while borrowed.
macro_rules! lock {
    ($($type:ident $try_lock:ident;)*) => {$(
        // SAFETY: as for `RefCell`. A poisoned lock is only a flag on a value
        // that is still there.
        unsafe impl<T: Trace + ?Sized> Trace for $type<T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                match self.$try_lock() {
                    Ok(value) => value.trace(tracer),
                    Err(std::sync::TryLockError::Poisoned(value)) => {
                        value.into_inner().trace(tracer);
                    }
                    Err(std::sync::TryLockError::WouldBlock) => {}
                }
            }
        }
    )*};
}

lock! {
    Mutex try_lock;
    RwLock try_read;
}

// SAFETY: a box owns its value alone.
unsafe impl<T: Trace + ?Sized> Trace for Box<T> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        (**self).trace(tracer);
    }

    fn fields(&self, visit: &mut dyn FnMut(&'static str, &dyn Trace)) {
        (**self).fields(visit);
    }
}

// SAFETY: reports each element once.
unsafe impl<T: Trace> Trace for [T] {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for element in self {
            element.trace(tracer);
        }
    }
}

// SAFETY: reports each element once.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for element in self {
            element.trace(tracer);
        }
    }

    #[inline]
    fn can_refer() -> bool {
        N > 0 && T::can_refer()
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)*) => {$(
        // SAFETY: reports each member once.
        unsafe impl<$($name: Trace),+> Trace for ($($name,)+) {
            #[allow(non_snake_case, reason = "the types' names serve as variables")]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                let ($($name,)+) = self;
                $($name.trace(tracer);)+
            }

            #[inline]
            fn can_refer() -> bool {
                $($name::can_refer())||+
            }
        }
    )*};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
}

// SAFETY: owns no `Gc`.
unsafe impl Trace for str {
    fn trace(&self, _: &mut Tracer<'_>) {}
}

/// The maps and sets of `hashbrown`.
#[cfg(feature = "hashbrown")]
mod hashbrown_types {
    use super::{Element, Trace, Tracer, mem};
    use hashbrown::{HashMap, HashSet};

    container! {
        HashSet<T> where S;
        HashMap<K, V> where S;
    }
}

/// The maps and sets of `indexmap`.
#[cfg(feature = "indexmap")]
mod indexmap_types {
    use super::{Element, Trace, Tracer, mem};
    use indexmap::{IndexMap, IndexSet};

    container! {
        IndexSet<T> where S;
        IndexMap<K, V> where S;
    }
}

#[cfg(feature = "smallvec")]
// SAFETY: reports each element once; dropping it drops the elements.
unsafe impl<A: smallvec::Array<Item: Trace> + 'static> Trace for smallvec::SmallVec<A> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.as_slice().trace(tracer);
    }

    fn can_refer() -> bool {
        mem::needs_drop::<A::Item>()
    }
}

//! [`Gc`]: a counted reference that the collector knows about.

mod forward;

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use crate::header::{DEAD, FINALIZED, Header, Object, Place, Type, UNTRACKED, header_of, value_of};
use crate::heap;
use crate::large::prefix_of;
use crate::pool::place_for;
use crate::trace::{Trace, Tracer};
use crate::weak::{self, Leftovers, Weak};

/// A reference-counted pointer, like [`Rc`](std::rc::Rc), whose cycles are
/// freed too.
///
/// `Gc` is for one thread; it is neither `Send` nor `Sync`.
pub struct Gc<T: ?Sized> {
    value: NonNull<T>,
    /// Objects are found again by their type (`gc::objects`, `Handle::downcast`),
    /// so a reference must not be able to change it: not even to one of a
    /// shorter lifetime, through which a value that does not live as long could
    /// be put in place of one that does.
    same_type: PhantomData<fn(*mut T)>,
}

/// The [`Type`] of sized values.
struct Of<T>(T);

impl<T: Trace> Of<T> {
    const TYPE: Type = Type {
        trace: |object, tracer| {
            // SAFETY: called for objects of this type with a live value.
            unsafe { value_of(object).cast::<T>().as_ref().trace(tracer) }
        },
        fields: |object, visit| {
            // SAFETY: called for objects of this type with a live value.
            unsafe { value_of(object).cast::<T>().as_ref().fields(visit) }
        },
        // SAFETY: called once, for objects of this type.
        drop: |object| unsafe { value_of(object).cast::<T>().drop_in_place() },
        finalize: |object| {
            if let Some(finalize) = T::finalizer() {
                // SAFETY: called for objects of this type with a live value.
                finalize(unsafe { value_of(object).cast::<T>().as_ref() });
            }
        },
        place: place_for(Layout::new::<T>()),
        layout: |_| Layout::new::<T>(),
        name: std::any::type_name::<T>,
        id: std::any::TypeId::of::<T>,
    };
}

/// The [`Type`] of slices.
struct Slice<T>(T);

/// The elements of a slice object.
unsafe fn elements<T>(object: Object) -> NonNull<[T]> {
    // SAFETY: the caller passes a slice object, which has a prefix.
    unsafe {
        let length = prefix_of(object).as_ref().length;
        NonNull::slice_from_raw_parts(value_of(object).cast::<T>(), length)
    }
}

impl<T: Trace> Slice<T> {
    const TYPE: Type = Type {
        trace: |object, tracer| {
            // SAFETY: called for slices of this type with live elements.
            let elements = unsafe { elements::<T>(object) };
            // SAFETY: as above.
            for element in unsafe { elements.as_ref() } {
                element.trace(tracer);
            }
        },
        fields: |_, _| {},
        // SAFETY: called once, for slices of this type.
        drop: |object| unsafe { elements::<T>(object).drop_in_place() },
        finalize: |_| {},
        place: Place::Large,
        layout: |object| {
            // SAFETY: called for slices of this type, which have a prefix.
            let length = unsafe { prefix_of(object).as_ref().length };
            Layout::array::<T>(length).expect("it was allocated")
        },
        name: std::any::type_name::<[T]>,
        id: std::any::TypeId::of::<[T]>,
    };
}

fn flags<T: Trace>() -> u64 {
    let finalized = if T::finalizer().is_none() {
        FINALIZED
    } else {
        0
    };
    let untracked = if can_refer::<T>() { 0 } else { UNTRACKED };
    finalized | untracked
}

/// Whether values can own a `Gc`: one that needs no drop cannot.
fn can_refer<T: Trace>() -> bool {
    mem::needs_drop::<T>() && T::can_refer()
}

impl<T: Trace> Gc<T> {
    /// Moves `value` into a new object.
    ///
    /// May run a collection first, and with it finalizers and destructors.
    #[inline]
    pub fn new(value: T) -> Self {
        let kind = &Of::<T>::TYPE;
        if let Some(object) = heap::allocate_fast(kind.place) {
            return Self::begin(object, value);
        }
        // A panic is put off until the object is made: if this call could
        // unwind, the value would have to be somewhere in memory before, and
        // could not be made in its place.
        let object = heap::allocate_slowly(kind, size_of::<T>(), align_of::<T>());
        let gc = Self::begin(object, value);
        heap::resume_panic();
        gc
    }

    /// Makes an object of a fresh block that is meant for it.
    #[inline]
    fn begin(object: Object, value: T) -> Self {
        // SAFETY: the block is large enough and aligned for both.
        unsafe {
            object.write(Header::new(flags::<T>(), &Of::<T>::TYPE));
            let place = value_of(object).cast::<T>();
            place.write(value);
            Self::from_value(place)
        }
    }

    /// An object whose value is made from a weak reference to the object.
    ///
    /// ```
    /// # use wrasse::{Gc, Trace, Weak};
    /// #[derive(Trace)]
    /// struct Widget { me: Weak<Widget> }
    ///
    /// let widget = Gc::new_cyclic(|me| Widget { me: me.clone() });
    /// assert!(Gc::ptr_eq(&widget, &widget.me.upgrade().unwrap()));
    /// ```
    pub fn new_cyclic(make: impl FnOnce(&Weak<T>) -> T) -> Self {
        /// Takes the block back if `make` panics.
        struct Unmade(Object);
        impl Drop for Unmade {
            fn drop(&mut self) {
                // SAFETY: nobody but weak references knows of the object.
                unsafe { heap::abandon(self.0) }
            }
        }

        let heap = heap::current();
        let object = heap.allocate(&Of::<T>::TYPE, Layout::new::<T>(), 0);
        // SAFETY: a fresh block, as in `new`. While the object is marked dead,
        // nobody looks at its value, and no weak reference can be upgraded.
        unsafe {
            object.write(Header::new(flags::<T>() | DEAD, &Of::<T>::TYPE));
            let unmade = Unmade(object);
            let place = value_of(object).cast::<T>();
            let weak = Weak::to(place);
            place.write(make(&weak));
            mem::forget(unmade);
            object.as_ref().unset(DEAD);
            Self::from_value(place)
        }
    }

    /// Takes the value out, if this is the only reference.
    ///
    /// Weak references to the object are cleared, its finalizer is not run.
    pub fn try_unwrap(this: Self) -> Result<T, Self> {
        if Self::ref_count(&this) != 1 {
            return Err(this);
        }
        let this = ManuallyDrop::new(this);
        let object = this.object();
        // SAFETY: the only reference is given up here; the value is moved out
        // and the object marked before foreign code can run.
        unsafe {
            let value = this.value.read();
            object.as_ref().set(DEAD);
            heap::abandon(object);
            Ok(value)
        }
    }

    /// The value itself if this is the only reference, else a clone of it.
    pub fn unwrap_or_clone(this: Self) -> T
    where
        T: Clone,
    {
        Self::try_unwrap(this).unwrap_or_else(|this| (*this).clone())
    }

    /// Exclusive access; if there are other references, `this` is first made to
    /// refer to a clone of the value.
    ///
    /// As with `Rc`, if there are only weak references, they are cut off.
    pub fn make_mut(this: &mut Self) -> GcMut<'_, T>
    where
        T: Clone,
    {
        let mut shared = None;
        let mut weak = Leftovers::default();
        if Self::ref_count(this) != 1 {
            let alone = Self::new((**this).clone());
            shared = Some(mem::replace(this, alone));
        } else {
            // SAFETY: this is the only reference, so nobody sees the weak
            // references go; their callbacks are dropped, not called.
            weak = unsafe { weak::clear(this.object()) };
        }
        let access = GcMut::begin(this);
        // Only now, when nobody finds the object any more: what is dropped here
        // may run code of the program, and that could ask for `gc::objects`.
        drop((shared, weak));
        access
    }
}

impl<T: Trace> Gc<[T]> {
    /// Moves the elements of `values` into a new slice object.
    pub fn from_vec(values: Vec<T>) -> Self {
        let heap = heap::current();
        let layout = Layout::for_value(values.as_slice());
        let object = heap.allocate(&Slice::<T>::TYPE, layout, values.len());
        let untracked = if can_refer::<T>() { 0 } else { UNTRACKED };
        let mut values = ManuallyDrop::new(values);
        // SAFETY: a fresh block with room for the elements, which are moved and
        // then forgotten; the vector's own buffer is freed empty.
        unsafe {
            object.write(Header::new(FINALIZED | untracked, &Slice::<T>::TYPE));
            let first = value_of(object).cast::<T>();
            first
                .as_ptr()
                .copy_from_nonoverlapping(values.as_ptr(), values.len());
            let length = values.len();
            values.set_len(0);
            ManuallyDrop::drop(&mut values);
            Self::from_value(NonNull::slice_from_raw_parts(first, length))
        }
    }
}

impl<T: ?Sized> Gc<T> {
    /// The reference whose count was taken for it.
    ///
    /// # Safety
    /// `value` is the value of an object, with the provenance of its block, and
    /// one of its counted references is the caller's to give.
    pub(crate) unsafe fn from_value(value: NonNull<T>) -> Self {
        Self {
            value,
            same_type: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn object(&self) -> Object {
        // SAFETY: a `Gc` points to a value in an object's block.
        unsafe { header_of(self.value) }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: a `Gc` keeps its object's block.
        unsafe { self.object().as_ref() }
    }

    /// References to the object, this one included.
    ///
    /// Above 2²⁷ references counting is given up: the object then stays for ever.
    pub fn ref_count(this: &Self) -> usize {
        this.header().count()
    }

    /// Weak references to the object.
    pub fn weak_count(this: &Self) -> usize {
        weak::weak_count(this.object())
    }

    /// Whether both are references to the same object.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        ptr::addr_eq(this.value.as_ptr(), other.value.as_ptr())
    }

    /// The address of the value.
    pub fn as_ptr(this: &Self) -> *const T {
        this.value.as_ptr()
    }

    /// A weak reference to the object.
    pub fn downgrade(this: &Self) -> Weak<T> {
        Weak::to(this.value)
    }

    /// A weak reference to the object whose `callback` is called when the object
    /// is about to go. Dropping the weak reference takes the callback back.
    ///
    /// As in Python, the callback comes when weak references are cleared
    /// already, and it is not called if the weak reference itself is part of
    /// the same garbage.
    ///
    /// ```
    /// # use std::{cell::Cell, rc::Rc};
    /// # use wrasse::Gc;
    /// let gone = Rc::new(Cell::new(false));
    /// let flag = Rc::clone(&gone);
    /// let object = Gc::new(String::from("hello"));
    /// let weak = Gc::downgrade_with(&object, move || flag.set(true));
    /// drop(object);
    /// assert!(gone.get() && weak.upgrade().is_none());
    /// ```
    pub fn downgrade_with(this: &Self, callback: impl FnOnce() + 'static) -> Weak<T> {
        Weak::watching(this.value, Box::new(callback))
    }

    /// Exclusive access, if this is the only reference and there is no weak one.
    ///
    /// The guard keeps the collector from looking into the value meanwhile.
    pub fn get_mut(this: &mut Self) -> Option<GcMut<'_, T>> {
        let alone = Self::ref_count(this) == 1 && Self::weak_count(this) == 0;
        alone.then(|| GcMut::begin(this))
    }

    /// For [`coerce!`](crate::coerce).
    ///
    /// # Safety
    /// `unsize` returns its argument, unsized.
    #[doc(hidden)]
    pub unsafe fn coerce_with<U: ?Sized>(this: Self, unsize: fn(*mut T) -> *mut U) -> Gc<U> {
        let this = ManuallyDrop::new(this);
        // SAFETY: the same address, and the reference moves along.
        unsafe { Gc::from_value(NonNull::new_unchecked(unsize(this.value.as_ptr()))) }
    }
}

/// Makes a `Gc` of a trait object or slice from one of a concrete type.
///
/// The standard library's way to do this is not stable.
///
/// ```
/// use wrasse::{Gc, Trace, coerce};
///
/// trait Shape: Trace {
///     fn area(&self) -> f64;
/// }
///
/// #[derive(Trace)]
/// struct Square(f64);
///
/// impl Shape for Square {
///     fn area(&self) -> f64 {
///         self.0 * self.0
///     }
/// }
///
/// let shape: Gc<dyn Shape> = coerce!(Gc::new(Square(2.0)) => dyn Shape);
/// assert_eq!(shape.area(), 4.0);
/// ```
#[macro_export]
macro_rules! coerce {
    ($gc:expr => $to:ty) => {{
        let gc = $gc;
        // SAFETY: the closure does nothing but unsize: a raw pointer coerces to
        // another type only so.
        unsafe { $crate::Gc::coerce_with(gc, |value: *mut _| -> *mut $to { value }) }
    }};
}

impl<T: ?Sized> Clone for Gc<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.header().increment();
        Self { ..*self }
    }
}

impl<T: ?Sized> Drop for Gc<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this reference was counted, and the block is there until the
        // last one is gone.
        unsafe {
            if let Err(word) = self.header().drop_one_of_many() {
                heap::release_value(self.value, word);
            }
        }
    }
}

impl<T: ?Sized> Deref for Gc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: safe code only gets at a `Gc` whose value is there: what the
        // collector drops is reachable from nowhere, see `Trace`. Exclusive
        // access needs the only reference.
        unsafe { self.value.as_ref() }
    }
}

// SAFETY: reports the one reference that it is.
unsafe impl<T: ?Sized + 'static> Trace for Gc<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.edge(self.object());
    }
}

/// Exclusive access to the value of a [`Gc`], from [`Gc::get_mut`].
///
/// While it lives the collector does not look at the object, which therefore
/// keeps alive all that it refers to.
pub struct GcMut<'a, T: ?Sized> {
    gc: &'a mut Gc<T>,
    untracked: bool,
}

impl<'a, T: ?Sized> GcMut<'a, T> {
    fn begin(gc: &'a mut Gc<T>) -> Self {
        let untracked = gc.header().has(UNTRACKED);
        gc.header().set(UNTRACKED);
        Self { gc, untracked }
    }
}

impl<T: ?Sized> Drop for GcMut<'_, T> {
    fn drop(&mut self) {
        if !self.untracked {
            self.gc.header().unset(UNTRACKED);
        }
    }
}

impl<T: ?Sized> Deref for GcMut<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.gc
    }
}

impl<T: ?Sized> DerefMut for GcMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the only reference is exclusively borrowed, there is no weak
        // one, and while the object is untracked neither the collector nor
        // `gc::objects` looks at it.
        unsafe { self.gc.value.as_mut() }
    }
}

const _: () = assert!(size_of::<Option<Gc<u8>>>() == size_of::<usize>());

//! Maps that do not keep their keys or their values alive, as Python's
//! `weakref.WeakKeyDictionary` and `WeakValueDictionary`.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use crate::handle::Handle;
use crate::pointer::Gc;
use crate::trace::{Trace, Tracer};
use crate::weak::Weak;

/// Below this many entries a map is not searched for dead ones.
const FEW: usize = 16;

/// A map from objects to objects in which an entry goes with its key.
///
/// Keys are compared by identity. The value lives as long as the key does and
/// the entry is there, also if the value itself refers to the key (such maps
/// are said to have *ephemerons*): the collector sees the value as if the key
/// referred to it.
///
/// ```
/// # use std::cell::RefCell;
/// # use wrasse::{Gc, Trace, WeakKeyMap, gc};
/// #[derive(Trace)]
/// struct Notes { about: Gc<String> }
///
/// let mut notes = WeakKeyMap::new();
/// let key = Gc::new(String::from("fish"));
/// // The value refers to the key, which does not keep the key alive.
/// notes.insert(&key, Gc::new(Notes { about: key.clone() }));
/// assert_eq!(*notes.get(&key).unwrap().about, "fish");
/// drop(key);
/// gc::collect();
/// assert_eq!(notes.len(), 0);
/// ```
pub struct WeakKeyMap<K: ?Sized, V: ?Sized> {
    entries: HashMap<*const (), Entry<K, V>>,
    /// With this many entries it is time to look for dead ones.
    full: usize,
}

struct Entry<K: ?Sized, V: ?Sized> {
    key: Weak<K>,
    value: Weak<V>,
    id: u64,
}

fn address<K: ?Sized>(key: &Gc<K>) -> *const () {
    Gc::as_ptr(key).cast()
}

impl<K: ?Sized, V: ?Sized> WeakKeyMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self {
            entries: HashMap::new(),
            full: FEW,
        }
    }

    fn entry(&self, key: &Gc<K>) -> Option<&Entry<K, V>> {
        // An object that is gone may have had the same address.
        let entry = self.entries.get(&address(key))?;
        entry.key.is(key).then_some(entry)
    }

    /// Puts `value` under `key`; returns the value that was there.
    pub fn insert(&mut self, key: &Gc<K>, value: Gc<V>) -> Option<Gc<V>> {
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(1) });
        let before = self.remove(key);
        if self.entries.len() >= self.full {
            self.entries.retain(|_, entry| entry.key.ref_count() > 0);
            self.full = (self.entries.len() * 2).max(FEW);
        }
        let id = NEXT.replace(NEXT.get() + 1);
        // SAFETY: `value` is alive.
        let handle = unsafe { Handle::to(value.object()) };
        let entry = Entry {
            key: Weak::attach(key, id, handle),
            value: Gc::downgrade(&value),
            id,
        };
        self.entries.insert(address(key), entry);
        before
    }

    /// The value under `key`.
    pub fn get(&self, key: &Gc<K>) -> Option<Gc<V>> {
        self.entry(key)?.value.upgrade()
    }

    /// Whether there is a value under `key`.
    pub fn contains_key(&self, key: &Gc<K>) -> bool {
        self.entry(key).is_some()
    }

    /// Takes the value under `key` away.
    pub fn remove(&mut self, key: &Gc<K>) -> Option<Gc<V>> {
        self.entry(key)?;
        let entry = self.entries.remove(&address(key))?;
        let value = entry.value.upgrade();
        drop(entry.key.detach(entry.id));
        value
    }

    /// The number of entries whose key is alive.
    pub fn len(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.key.ref_count() > 0)
            .count()
    }

    /// Whether there is no entry whose key is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries whose key is alive, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Gc<K>, Gc<V>)> + '_ {
        self.entries
            .values()
            .filter_map(|entry| Some((entry.key.upgrade()?, entry.value.upgrade()?)))
    }
}

impl<K: ?Sized, V: ?Sized> Default for WeakKeyMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: ?Sized, V: ?Sized> Drop for WeakKeyMap<K, V> {
    fn drop(&mut self) {
        for entry in self.entries.values() {
            drop(entry.key.detach(entry.id));
        }
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for WeakKeyMap<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WeakKeyMap")
            .field("len", &self.len())
            .finish()
    }
}

// SAFETY: the map owns no `Gc`: the values belong to the keys. Its destructor
// goes through weak references only.
unsafe impl<K: ?Sized + 'static, V: ?Sized + 'static> Trace for WeakKeyMap<K, V> {
    fn trace(&self, _: &mut Tracer<'_>) {}
}

/// A map to objects in which an entry goes with its value.
///
/// ```
/// # use wrasse::{Gc, WeakValueMap};
/// let mut cache = WeakValueMap::new();
/// let text = Gc::new(String::from("parsed"));
/// cache.insert("file", &text);
/// assert!(Gc::ptr_eq(&cache.get("file").unwrap(), &text));
/// drop(text);
/// assert!(cache.get("file").is_none());
/// ```
pub struct WeakValueMap<K, V: ?Sized> {
    entries: HashMap<K, Weak<V>>,
    /// With this many entries it is time to look for dead ones.
    full: usize,
}

impl<K: Eq + Hash, V: ?Sized> WeakValueMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self {
            entries: HashMap::new(),
            full: FEW,
        }
    }

    /// Puts `value` under `key`; returns the value that was there.
    pub fn insert(&mut self, key: K, value: &Gc<V>) -> Option<Gc<V>> {
        if self.entries.len() >= self.full {
            self.entries.retain(|_, value| value.ref_count() > 0);
            self.full = (self.entries.len() * 2).max(FEW);
        }
        self.entries.insert(key, Gc::downgrade(value))?.upgrade()
    }

    /// The value under `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Gc<V>>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)?.upgrade()
    }

    /// Takes the value under `key` away.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<Gc<V>>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key)?.upgrade()
    }

    /// The number of entries whose value is alive.
    pub fn len(&self) -> usize {
        self.entries
            .values()
            .filter(|value| value.ref_count() > 0)
            .count()
    }

    /// Whether there is no entry whose value is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries whose value is alive, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, Gc<V>)> + '_ {
        self.entries
            .iter()
            .filter_map(|(key, value)| Some((key, value.upgrade()?)))
    }
}

impl<K: Eq + Hash, V: ?Sized> Default for WeakValueMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V: ?Sized> fmt::Debug for WeakValueMap<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WeakValueMap")
            .finish_non_exhaustive()
    }
}

// SAFETY: reports what the keys own, once.
unsafe impl<K: Trace, V: ?Sized + 'static> Trace for WeakValueMap<K, V> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.entries.trace(tracer);
    }
}

//! Objects that could be smaller: instances with a `__dict__`, equal strings and
//! tuples, containers with too much room, lists of numbers.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use pyo3_ffi::*;
use wrasse_doctor::observations::{Duplicates, Instances, Line, Numbers, Oversized};
use wrasse_graph::Node;
use wrasse_tracer::TracebackId;

use super::copies::Copies;
use super::garbage::traceback_of;
use super::held::Owners;
use super::lines;
use super::tuples::Tuples;
use crate::heap_graph::edge::{namespace, values_size};
use crate::heap_graph::names::{short, text};
use crate::heap_graph::path::Words;
use crate::heap_graph::referents::referents;
use crate::heap_graph::{Failure, Picture, block_size};
use crate::layout::{INSTANCE, load};

/// Less than this is not told.
const SMALLEST: u64 = 64 << 10;
/// What is scaled by what came after the look is told from here on: early looks say
/// how steady it is.
const FIRST: u64 = 16 << 10;
/// Numbers of a list that are looked at.
const SAMPLE: usize = 200;
/// Instances of a class that are asked which line made them, until one is known.
const PLACED: u64 = 100;
/// Lists with fewer numbers stay lists.
const FEWEST_NUMBERS: usize = 1000;
/// Characters of an example.
const SHOWN: usize = 40;
/// The collector's words before an object, and the object's own.
const BARE: u64 = 16 + 16;
/// `array.array` without its items.
const ARRAY: u64 = 80;
/// `PyListObject`: items and their room. `PySetObject`: largest index and table.
const LIST: (usize, usize) = (24, 32);
const SET: (usize, usize) = (32, 40);

/// What was found.
#[derive(Default)]
pub struct Waste {
    /// By class.
    pub instances: Vec<Instances>,
    /// By line.
    pub duplicates: Vec<Duplicates>,
    /// By line.
    pub tuples: Vec<Duplicates>,
    /// By line.
    pub oversized: Vec<Oversized>,
    /// Each with what it is recognized by at the next look.
    pub numbers: Vec<(Numbers, usize)>,
}

struct Search<'a> {
    picture: &'a mut Picture,
    owners: &'a Owners,
    classes: HashMap<*mut PyTypeObject, Option<Instances>>,
    strings: Copies,
    oversized: HashMap<(Line, &'static str), (Oversized, Node, u64)>,
    numbers: Vec<(Numbers, usize, Node)>,
}

/// Finds it.
///
/// # Errors
/// No memory.
///
/// # Safety
/// The GIL is held since the picture was taken, and no exception is set.
pub unsafe fn find(picture: &mut Picture, owners: &Owners) -> Result<Waste, Failure> {
    let mut search = Search {
        picture,
        owners,
        classes: HashMap::new(),
        strings: Copies::default(),
        oversized: HashMap::new(),
        numbers: Vec::new(),
    };
    // SAFETY: the caller's contract: all nodes are live objects.
    unsafe {
        INSTANCE.prepare();
        let objects: Vec<_> = search.picture.objects().collect();
        let mut tuples = Tuples::default();
        objects.iter().for_each(|object| tuples.add(*object));
        let (tuples, copies) = tuples.duplicates(search.picture, owners);
        for (node, object) in search.picture.graph.nodes().zip(objects) {
            search.string(object);
            // What only a needless tuple holds goes with it.
            let is_copy = copies.binary_search(&(object as usize)).is_ok();
            let (strings, picture) = (&mut search.strings, &*search.picture);
            referents(object, &mut |target| {
                // Nodes have their own turn.
                if !is_copy && PyUnicode_CheckExact(target) != 0 && picture.node(target).is_none() {
                    strings.add(target, hash_of_text(target));
                }
            });
            search.instance(object);
            if PyList_CheckExact(object) != 0 {
                search.list(node, object);
            } else if PyDict_CheckExact(object) != 0 {
                search.dict(node, object);
            } else if PyAnySet_CheckExact(object) != 0 {
                search.set(node, object);
            }
        }
        let mut waste = search.done()?;
        waste.tuples = tuples;
        Ok(waste)
    }
}

impl Search<'_> {
    unsafe fn string(&mut self, object: *mut PyObject) {
        // SAFETY: a live object.
        unsafe {
            if PyUnicode_CheckExact(object) != 0 {
                self.strings.add(object, hash_of_text(object));
            }
        }
    }

    unsafe fn instance(&mut self, object: *mut PyObject) {
        // SAFETY: a live object and its type.
        unsafe {
            let kind = Py_TYPE(object);
            let owners = self.owners;
            let entry = self.classes.entry(kind);
            let Some(class) = entry.or_insert_with(|| class_of(kind, owners)) else {
                return;
            };
            let Ok(own) = self.picture.kinds.size(object) else {
                return;
            };
            if class.line.line == 0
                && class.count < PLACED
                && let Some(traceback) = traceback_of(object)
            {
                class.line = owners.line(traceback).unwrap_or_default();
            }
            let mut bytes = own.max(block_size(object)) + values_size(object);
            let dict = namespace(object);
            let mut attributes = 0;
            if !dict.is_null() {
                bytes += self.picture.kinds.size(dict).unwrap_or(0);
                attributes = PyDict_Size(dict).max(0) as u64;
            } else if let Some(values) = INSTANCE.values(object) {
                let all = (0..values.count).map(|index| *values.first.add(index));
                attributes = all.filter(|value| !value.is_null()).count() as u64;
            }
            class.count += 1;
            class.bytes += bytes;
            class.attributes = class.attributes.max(attributes);
        }
    }

    unsafe fn list(&mut self, node: Node, list: *mut PyObject) {
        // SAFETY: a live list.
        unsafe {
            let length = Py_SIZE(list) as usize;
            let items: *const *mut PyObject = load(list.cast(), LIST.0);
            let room = load::<isize>(list.cast(), LIST.1).max(0) as usize;
            let fitting = 56 + 8 * length as u64;
            let size = 56 + 8 * room as u64;
            if room > 2 * length + 8 {
                self.add_oversized(node, "list", items as usize, (length, size, fitting));
            }
            if length >= FEWEST_NUMBERS
                && let Some((type_name, each)) = numbers(items, length)
                && let Some(line) = own_line_of(items as usize, self.owners)
            {
                let numbers = Numbers {
                    line,
                    type_name: type_name.into(),
                    items: length as u64,
                    bytes: size + (each * length as f64) as u64,
                    array_bytes: ARRAY + 8 * length as u64,
                    ..Numbers::default()
                };
                self.numbers
                    .push((numbers, list as usize ^ length << 48, node));
            }
        }
    }

    unsafe fn dict(&mut self, node: Node, dict: *mut PyObject) {
        // SAFETY: a live dict; its table of keys is a block, if it is its own.
        unsafe {
            let Ok(size) = self.picture.kinds.size(dict) else {
                return;
            };
            if size < SMALLEST / 4 {
                return;
            }
            let length = PyDict_Size(dict).max(0) as usize;
            // Two thirds of a table are used at most; an entry takes three words
            // and two or four bytes of index.
            let table = (length * 3 / 2 + 1).next_power_of_two().max(8) as u64;
            let fitting = 64 + 32 + table * 4 + table * 2 / 3 * 24;
            if size > 3 * fitting {
                let keys = crate::layout::DICT.keys(dict) as usize;
                self.add_oversized(node, "dict", keys, (length, size, fitting));
            }
        }
    }

    unsafe fn set(&mut self, node: Node, set: *mut PyObject) {
        // SAFETY: a live set.
        unsafe {
            let length = PySet_Size(set).max(0) as usize;
            let slots = load::<isize>(set.cast(), SET.0).max(0) as usize + 1;
            let table: usize = load(set.cast(), SET.1);
            let fitting = 216 + 16 * (length * 5 / 3 + 1).next_power_of_two() as u64;
            let size = 216 + 16 * slots as u64;
            if size > 3 * fitting {
                self.add_oversized(node, "set", table, (length, size, fitting));
            }
        }
    }

    fn add_oversized(
        &mut self,
        node: Node,
        type_name: &'static str,
        block: usize,
        (items, bytes, fitting_bytes): (usize, u64, u64),
    ) {
        if bytes - fitting_bytes < 1024 {
            return;
        }
        let Some(line) = own_line_of(block, self.owners) else {
            return;
        };
        let entry = self.oversized.entry((line.clone(), type_name));
        let (all, largest, most) = entry.or_insert_with(|| {
            let all = Oversized {
                line,
                type_name: type_name.into(),
                ..Oversized::default()
            };
            (all, node, 0)
        });
        all.count += 1;
        all.items += items as u64;
        all.bytes += bytes;
        all.fitting_bytes += fitting_bytes;
        if bytes > *most {
            (*largest, *most) = (node, bytes);
        }
    }

    unsafe fn done(self) -> Result<Waste, Failure> {
        let mut waste = Waste {
            // SAFETY: the picture is as it was taken.
            duplicates: unsafe { duplicates(self.strings, self.owners) },
            ..Waste::default()
        };
        for mut class in self.classes.into_values().flatten() {
            class.slots_bytes = class.count * (BARE + 8 * class.attributes);
            if class.bytes > class.slots_bytes + FIRST {
                waste.instances.push(class);
            }
        }
        let mut oversized: Vec<_> = self.oversized.into_values().collect();
        oversized.retain(|(all, ..)| all.bytes - all.fitting_bytes >= SMALLEST);
        let mut lists = self.numbers;
        lists.retain(|(numbers, ..)| numbers.bytes >= SMALLEST);
        if oversized.is_empty() && lists.is_empty() {
            return Ok(waste);
        }
        let paths = self.picture.paths(None)?;
        // SAFETY: as above.
        let words = unsafe { Words::new(self.picture) };
        for (mut all, node, _) in oversized {
            // SAFETY: as above.
            all.path = unsafe { words.path(&paths.to(node)?, None) };
            waste.oversized.push(all);
        }
        for (mut numbers, identity, node) in lists {
            // SAFETY: as above.
            numbers.path = unsafe { words.path(&paths.to(node)?, None) };
            waste.numbers.push((numbers, identity));
        }
        Ok(waste)
    }
}

/// What is counted of a class's instances, if it is one of the program's whose
/// instances have a `__dict__` that slots could replace.
unsafe fn class_of(kind: *mut PyTypeObject, owners: &Owners) -> Option<Instances> {
    const MANAGED_DICT: std::ffi::c_ulong = 1 << 4;
    // SAFETY: a live type and its bases.
    unsafe {
        let has_namespace = |kind: *mut PyTypeObject| {
            (*kind).tp_flags & MANAGED_DICT != 0 || (*kind).tp_dictoffset != 0
        };
        if !has_namespace(kind) {
            return None;
        }
        let order = (*kind).tp_mro;
        if order.is_null() || PyTuple_CheckExact(order) == 0 {
            return None;
        }
        // Each class above must be able to do without: a library's is not the
        // program's to change.
        for index in 0..PyTuple_GET_SIZE(order) {
            let base: *mut PyTypeObject = PyTuple_GET_ITEM(order, index).cast();
            if base == &raw mut PyBaseObject_Type {
                continue;
            }
            if (*base).tp_flags & Py_TPFLAGS_HEAPTYPE == 0
                || has_namespace(base) && owners.of_class(base).is_none()
            {
                return None;
            }
        }
        let file = owners.of_class(kind)?;
        if PyType_IsSubtype(kind, &raw mut PyType_Type) != 0 {
            return None;
        }
        Some(Instances {
            file: file.clone(),
            class: short(kind),
            ..Instances::default()
        })
    }
}

/// The line of the program that allocated a block.
fn own_line_of(block: usize, owners: &Owners) -> Option<Line> {
    own_line(lines::traceback_of_block(block)?, owners)
}

/// The line of a traceback that allocated, if it is the program's.
fn own_line(traceback: TracebackId, owners: &Owners) -> Option<Line> {
    let line = lines::innermost(traceback)?;
    owners.is_own(&line.file).then_some(line)
}

/// Of a list of numbers: their type, and the average bytes of one that only the
/// list holds. `None` if there is anything else in it, or a number is too large.
unsafe fn numbers(items: *const *mut PyObject, length: usize) -> Option<(&'static str, f64)> {
    let count = length.min(SAMPLE);
    let mut bytes = 0;
    let mut kind: *mut PyTypeObject = std::ptr::null_mut();
    // SAFETY: within the list's items, which are live.
    unsafe {
        for number in 0..count {
            let item = *items.add(number * length / count);
            if item.is_null() {
                return None;
            }
            if kind.is_null() {
                kind = Py_TYPE(item);
            }
            if Py_TYPE(item) != kind {
                return None;
            }
            let is_alone = Py_REFCNT(item) == 1;
            if kind == &raw mut PyFloat_Type {
                bytes += if is_alone { 24 } else { 0 };
            } else if kind == &raw mut PyLong_Type {
                let mut overflow = 0;
                let value = PyLong_AsLongLongAndOverflow(item, &raw mut overflow);
                if overflow != 0 {
                    return None;
                }
                let digits = (64 - value.unsigned_abs().leading_zeros())
                    .div_ceil(30)
                    .max(1);
                bytes += if is_alone { 24 + 4 * digits } else { 0 };
            } else {
                return None;
            }
        }
        let name = if kind == &raw mut PyFloat_Type {
            "float"
        } else {
            "int"
        };
        Some((name, f64::from(bytes) / count as f64))
    }
}

/// The copies of strings, by line.
///
/// # Safety
/// All that were added are alive.
unsafe fn duplicates(strings: Copies, owners: &Owners) -> Vec<Duplicates> {
    // SAFETY: a live `str`, whose size its own function tells.
    let bytes = |string| unsafe { size_of_text(string) };
    let example = |string| {
        // SAFETY: as above.
        let text = unsafe { text(string) };
        text.unwrap_or_default().chars().take(SHOWN).collect()
    };
    let traceback = |string: *mut PyObject| lines::traceback_of_block(string as usize);
    // What Python code of a library makes is told where the program asks for it.
    let line = |traceback| {
        owners
            .line(traceback)
            .filter(|_| !lines::is_import(traceback))
    };
    let found = strings.by_line(traceback, line, bytes, example);
    let told = found.into_iter().map(|each| {
        let mut told = each.told;
        let first = each.copies.first().copied().and_then(traceback);
        let made_in = first.and_then(lines::innermost);
        told.made_in = made_in.filter(|line| *line != told.line);
        told
    });
    told.filter(|told| told.bytes >= FIRST).collect()
}

/// What a string's characters come to.
///
/// # Safety
/// A live `str`; so for its size.
pub unsafe fn hash_of_text(string: *mut PyObject) -> u64 {
    // SAFETY: a live `str`, all of which have their characters in one block.
    unsafe {
        let length = PyUnicode_GET_LENGTH(string) as usize;
        let width = PyUnicode_KIND(string) as usize;
        let data = PyUnicode_DATA(string).cast::<u8>();
        let characters = std::slice::from_raw_parts(data, length * width);
        BuildHasherDefault::<DefaultHasher>::default().hash_one((width, characters))
    }
}

/// As `sys.getsizeof` says.
pub unsafe fn size_of_text(string: *mut PyObject) -> u64 {
    // SAFETY: as above.
    unsafe {
        let length = PyUnicode_GET_LENGTH(string) as u64;
        let header = if cfg!(Py_3_12) { (40, 56) } else { (48, 72) };
        let is_ascii = PyUnicode_IS_ASCII(string) != 0;
        let header = if is_ascii { header.0 } else { header.1 };
        header + (length + 1) * PyUnicode_KIND(string) as u64
    }
}

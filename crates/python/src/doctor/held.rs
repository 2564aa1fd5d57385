//! Names that alone keep memory alive: variables of modules and functions,
//! attributes of classes, default values, caches, and (`closures.rs`) what inner functions
//! share.
//!
//! A name alone keeps what its namespace dominates by way of it: nothing else in
//! the heap leads there.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_long};
use std::ptr;

use pyo3_ffi::*;
use wrasse_doctor::observations::{CacheUse, Held, HolderKind, Line};
use wrasse_doctor::{CELL, NOTEBOOK, Observations};
use wrasse_graph::Dominators;
use wrasse_tracer::TracebackId;

use super::lines;
use super::sources;
use super::{closures, history};
use crate::heap_graph::names::{self, each_module, text};
use crate::heap_graph::stack::Place;
use crate::heap_graph::{Failure, Picture};

/// Less than this is not told.
pub const SMALLEST: u64 = 64 << 10;

/// The program's own modules.
pub struct Owners {
    observations: Observations,
    /// The started file, or what stands for it.
    main: Option<String>,
    /// Namespaces, with the file.
    pub modules: HashMap<*mut PyObject, String>,
    /// The files by the modules' names.
    names: HashMap<String, String>,
}

impl Owners {
    /// # Safety
    /// The GIL is held, and no exception is set; so everywhere here.
    pub unsafe fn find(libraries: Vec<String>) -> Self {
        let mut owners = Self {
            observations: Observations {
                libraries,
                ..Observations::default()
            },
            main: sources::main(),
            modules: HashMap::new(),
            names: HashMap::new(),
        };
        // SAFETY: the caller's contract.
        unsafe {
            each_module(|module| {
                let dict = PyModule_GetDict(module);
                let name = names::module(module);
                let file = match name.as_str() {
                    "__main__" => sources::main(),
                    _ => text(PyDict_GetItemString(dict, c"__file__".as_ptr())),
                };
                if let Some(file) = file
                    && (name == "__main__" || owners.is_own(&file))
                {
                    owners.modules.insert(dict, file.clone());
                    owners.names.insert(name, file);
                }
            });
        }
        owners
    }

    /// Is it a file of the program's?
    pub fn is_own(&self, file: &str) -> bool {
        let is_file = match &self.main {
            Some(main) if main == NOTEBOOK => !file.starts_with('<') || file.starts_with(CELL),
            main => !file.starts_with('<') || main.as_deref() == Some(file),
        };
        is_file && !self.observations.is_library(file)
    }

    /// What knows which files are libraries.
    pub fn places(&self) -> &Observations {
        &self.observations
    }

    /// The innermost line of the program's in a traceback.
    pub fn line(&self, traceback: TracebackId) -> Option<Line> {
        let mut lines = lines::of_traceback(traceback).into_iter();
        lines.find(|line| self.is_own(&line.file))
    }

    /// The file of the module that a class says it is from.
    pub unsafe fn of_class(&self, kind: *mut PyTypeObject) -> Option<&String> {
        // SAFETY: a live type.
        unsafe {
            if (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 || (*kind).tp_dict.is_null() {
                return None;
            }
            let name = PyDict_GetItemString((*kind).tp_dict, c"__module__".as_ptr());
            self.names.get(&text(name)?)
        }
    }
}

/// A holder, and the cache that it is.
pub struct Holder {
    /// What is told.
    pub held: Held,
    cache: *mut PyObject,
}

/// The search for holders in one picture.
pub struct Search<'a> {
    /// The heap.
    pub picture: &'a mut Picture,
    /// Who is the program.
    pub owners: &'a Owners,
    found: Vec<Holder>,
    tree: Dominators,
    places: Vec<u32>,
    retained: Vec<u64>,
    traced: u64,
}

/// Finds them.
///
/// # Errors
/// No memory.
pub unsafe fn find(
    picture: &mut Picture,
    owners: &Owners,
    traced: u64,
) -> Result<Vec<Holder>, Failure> {
    let roots = picture.roots();
    picture.graph.set_roots(roots);
    let tree = Dominators::of(&picture.graph)?;
    let retained = tree.retained(&picture.graph)?;
    let places = tree.places()?;
    picture.graph.set_roots(Vec::new());
    let mut search = Search {
        picture,
        owners,
        tree,
        places,
        retained,
        found: Vec::new(),
        traced,
    };
    // SAFETY: the caller's contract.
    unsafe {
        for (dict, file) in &owners.modules {
            search.module(*dict, file);
        }
        search.locals();
        closures::find(&mut search)?;
        history::find(&mut search);
    }
    Ok(search.found)
}

impl Search<'_> {
    /// Where an object is in the tree of dominators.
    fn place(&self, object: *mut PyObject) -> Option<usize> {
        let node = self.picture.node(object)?;
        Some(self.places[node as usize] as usize)
    }

    /// The bytes that go with an object.
    pub fn retained(&self, object: *mut PyObject) -> u64 {
        self.place(object).map_or(0, |place| self.retained[place])
    }

    /// The bytes that go if `holder` lets go of `object`.
    pub unsafe fn kept(&mut self, holder: Option<*mut PyObject>, object: *mut PyObject) -> u64 {
        let above = match holder {
            Some(holder) => self.place(holder).unwrap_or(usize::MAX),
            None => 0,
        };
        // SAFETY: a live object.
        unsafe {
            match self.place(object) {
                Some(place) if self.tree.dominator(place) == above => self.retained[place],
                Some(_) => 0,
                // A part of the holder.
                None if Py_REFCNT(object) == 1 => self.picture.kinds.size(object).unwrap_or(0),
                None => 0,
            }
        }
    }

    /// Takes a holder of `object` in, if it keeps enough. What it holds is counted, unless
    /// that is known of more than this one object.
    pub unsafe fn add(&mut self, mut held: Held, object: *mut PyObject) {
        if held.bytes < SMALLEST {
            return;
        }
        // SAFETY: a live object.
        unsafe {
            held.type_name = names::short(Py_TYPE(object));
            if held.items == 0 {
                held.items = length(object);
            }
            held.traced_bytes = self.traced;
            let is_cache = held.kind == HolderKind::Cache;
            self.found.push(Holder {
                held,
                cache: if is_cache { object } else { ptr::null_mut() },
            });
        }
    }

    unsafe fn module(&mut self, dict: *mut PyObject, file: &str) {
        // SAFETY: a live dict, which does not change; its values are alive.
        unsafe {
            let is_notebook = file == NOTEBOOK;
            let (running, at_line) = self.line_of_namespace(dict);
            // The file of a cell is the cell.
            let file = running.as_deref().filter(|_| is_notebook).unwrap_or(file);
            each_item(dict, |key, value| {
                let Some(name) = text(key) else { return };
                if is_notebook && history::is_name(&name) {
                    return;
                }
                if PyType_Check(value) != 0 {
                    if self
                        .owners
                        .of_class(value.cast())
                        .is_some_and(|own| own == file)
                    {
                        self.class(value.cast(), file);
                    }
                    return;
                }
                if PyModule_Check(value) != 0 || name.starts_with("__") {
                    return;
                }
                if PyFunction_Check(value) != 0 {
                    return self.defaults(value, file);
                }
                let held = Held {
                    kind: kind_of(value, HolderKind::Global),
                    file: file.into(),
                    name,
                    at_line,
                    bytes: self.kept(Some(dict), value),
                    ..Held::default()
                };
                self.add(held, value);
            });
        }
    }

    unsafe fn class(&mut self, class: *mut PyTypeObject, file: &str) {
        // SAFETY: a live heap type and its namespace.
        unsafe {
            let class_name = names::short(class);
            let dict = (*class).tp_dict;
            each_item(dict, |key, value| {
                let Some(name) = text(key) else { return };
                if name.starts_with("__") || PyType_Check(value) != 0 {
                    return;
                }
                if PyFunction_Check(value) != 0 {
                    return self.defaults(value, file);
                }
                let held = Held {
                    kind: kind_of(value, HolderKind::ClassAttribute),
                    file: file.into(),
                    name: format!("{class_name}.{name}"),
                    bytes: self.kept(Some(dict), value),
                    ..Held::default()
                };
                self.add(held, value);
            });
        }
    }

    /// The default values of a function's parameters.
    unsafe fn defaults(&mut self, function: *mut PyObject, file: &str) {
        // SAFETY: a live function.
        unsafe {
            let defaults = PyFunction_GetDefaults(function);
            if defaults.is_null() || PyTuple_Check(defaults) == 0 {
                return;
            }
            let code = PyFunction_GetCode(function);
            let count = PyTuple_GET_SIZE(defaults);
            let first = number(code, c"co_argcount") - count as i64;
            for index in 0..count {
                let value = PyTuple_GET_ITEM(defaults, index);
                let is_container = PyList_Check(value) != 0
                    || PyDict_Check(value) != 0
                    || PyAnySet_Check(value) != 0;
                let slot = u32::try_from(first + index as i64);
                let (true, Ok(slot)) = (is_container, slot) else {
                    continue;
                };
                let held = Held {
                    kind: HolderKind::DefaultArgument,
                    file: file.into(),
                    name: names::variable(code, slot),
                    function: names::owner(function),
                    first_line: number(code, c"co_firstlineno") as u32,
                    bytes: self.kept(Some(defaults), value),
                    ..Held::default()
                };
                self.add(held, value);
            }
        }
    }

    /// The variables of running functions, and those whose cells nobody else holds: all
    /// functions that shared them are gone.
    unsafe fn locals(&mut self) {
        let mut seen = HashSet::new();
        // SAFETY: frames stand still, what they refer to is alive.
        unsafe {
            for at in 0..self.picture.stack.references.len() {
                let reference = &self.picture.stack.references[at];
                let Place::Variable(slot) = reference.place else {
                    continue;
                };
                let (target, frame) = (reference.target, reference.frame as usize);
                if Py_REFCNT(target) != 1 || !seen.insert(target) {
                    continue;
                }
                let (kind, cell, object) = match closures::content(target) {
                    Some(content) => (HolderKind::Closure, Some(target), content),
                    None => (HolderKind::Local, None, target),
                };
                let bytes = self.kept(cell, object);
                if bytes < SMALLEST {
                    continue;
                }
                let frame = &self.picture.stack.frames[frame];
                let (function, file, line) = names::place(frame);
                if !self.owners.is_own(&file) {
                    continue;
                }
                let held = Held {
                    kind,
                    file,
                    name: names::variable(frame.code, slot),
                    function,
                    first_line: number(frame.code, c"co_firstlineno") as u32,
                    at_line: line,
                    bytes,
                    ..Held::default()
                };
                self.add(held, object);
            }
        }
    }

    /// The line at which a module's own code is.
    unsafe fn line_of_namespace(&self, dict: *mut PyObject) -> (Option<String>, u32) {
        let stack = &self.picture.stack;
        let mut references = stack.references.iter();
        let found = references
            .find(|reference| reference.place == Place::Namespace && reference.target == dict);
        let Some(reference) = found else {
            return (None, 0);
        };
        // SAFETY: a frame that stands still.
        let (_, file, line) = unsafe { names::place(&stack.frames[reference.frame as usize]) };
        (Some(file), line)
    }
}

unsafe fn kind_of(value: *mut PyObject, otherwise: HolderKind) -> HolderKind {
    // SAFETY: the caller passes a live object.
    match unsafe { is_cache(value) } {
        true => HolderKind::Cache,
        false => otherwise,
    }
}

/// Whether it is what `functools.lru_cache` makes.
pub unsafe fn is_cache(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object, whose type has a name.
    let name = unsafe { CStr::from_ptr((*Py_TYPE(object)).tp_name) };
    name == c"functools._lru_cache_wrapper"
}

/// Visits the items of a dict, or nothing of null.
pub unsafe fn each_item(dict: *mut PyObject, mut visit: impl FnMut(*mut PyObject, *mut PyObject)) {
    let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
    // SAFETY: the caller passes a live dict, or null.
    unsafe {
        while !dict.is_null()
            && PyDict_Next(dict, &raw mut position, &raw mut key, &raw mut value) != 0
        {
            visit(key, value);
        }
    }
}

/// The items of a container; 0 of anything else.
pub unsafe fn length(object: *mut PyObject) -> u64 {
    // SAFETY: a live object; these types count without running Python.
    let length = unsafe {
        if PyList_Check(object) != 0 || PyTuple_Check(object) != 0 {
            Py_SIZE(object)
        } else if PyDict_Check(object) != 0 {
            PyDict_Size(object)
        } else if PyAnySet_Check(object) != 0 {
            PySet_Size(object)
        } else {
            0
        }
    };
    u64::try_from(length).unwrap_or(0)
}

/// A number that is a code object's attribute.
pub unsafe fn number(code: *mut PyObject, name: &CStr) -> i64 {
    // SAFETY: a live code object, whose attributes are read by C functions.
    unsafe {
        let value = PyObject_GetAttrString(code, name.as_ptr());
        if value.is_null() {
            PyErr_Clear();
            return 0;
        }
        let number: c_long = PyLong_AsLong(value);
        Py_DECREF(value);
        number
    }
}

/// Asks the caches found how they were used. The picture is gone: Python may run.
///
/// # Safety
/// The GIL is held, no exception is set, and nothing was freed since they were found.
pub unsafe fn ask_caches(found: &mut [Holder]) {
    // SAFETY: the caller's contract; the reference keeps each alive meanwhile.
    unsafe {
        let caches: Vec<_> = found.iter().map(|each| Py_XNewRef(each.cache)).collect();
        for (each, cache) in found.iter_mut().zip(caches) {
            if !cache.is_null() {
                each.held.cache = ask(cache);
                Py_DECREF(cache);
            }
        }
    }
}

unsafe fn ask(cache: *mut PyObject) -> Option<CacheUse> {
    // SAFETY: the caller's contract.
    unsafe {
        let name = PyUnicode_FromString(c"cache_info".as_ptr());
        let info = match name.is_null() {
            true => name,
            false => PyObject_CallMethodNoArgs(cache, name),
        };
        Py_XDECREF(name);
        let mut found = None;
        if !info.is_null() && PyTuple_Check(info) != 0 && PyTuple_GET_SIZE(info) == 4 {
            let item = |index| PyTuple_GET_ITEM(info, index);
            found = Some(CacheUse {
                hits: PyLong_AsUnsignedLongLong(item(0)),
                misses: PyLong_AsUnsignedLongLong(item(1)),
                is_bounded: item(2) != Py_None(),
            });
        }
        Py_XDECREF(info);
        PyErr_Clear();
        found
    }
}

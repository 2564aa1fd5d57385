//! A path of references in words: `app.cache['x'] → list[3] → Session.user`.

use std::collections::HashMap;

use pyo3_ffi::*;
use wrasse_graph::Node;

use super::edge::{Access, access, attribute, namespace};
use super::layout::{CODE_VARIABLE_KINDS, KIND_FREE};
use super::stack::{Place, Reference};
use super::{Picture, names};
use crate::layout::load;

/// Longer paths are shown with their middle left out.
const SHOWN: usize = 40;

/// Turns paths of one picture into words.
pub struct Words<'a> {
    picture: &'a Picture,
    /// The modules by their namespaces.
    modules: HashMap<*mut PyObject, String>,
}

/// One step: who holds, and by what.
struct Step {
    owner: String,
    /// A plain list, tuple or dict: its name says nothing.
    is_plain: bool,
    is_cell: bool,
    access: Access,
}

impl Step {
    fn show(&self) -> String {
        match &self.access {
            Access::Attribute(name) => format!("{}.{name}", self.owner),
            Access::Item(item) => format!("{}{item}", self.owner),
            Access::Words(words) if words.is_empty() => self.owner.clone(),
            Access::Words(words) => format!("{} ({words})", self.owner),
        }
    }
}

impl<'a> Words<'a> {
    /// # Safety
    /// The GIL has been held since the picture was taken, and collections are
    /// off; so everywhere here.
    pub unsafe fn new(picture: &'a Picture) -> Self {
        let mut modules = HashMap::new();
        // SAFETY: the caller's contract.
        unsafe {
            names::each_module(|module| {
                modules
                    .entry(PyModule_GetDict(module))
                    .or_insert_with(|| names::module(module));
            });
        }
        Self { picture, modules }
    }

    /// A path that begins at a root, in words; `end` comes behind its last node.
    pub unsafe fn path(&self, path: &[Node], end: Option<*mut PyObject>) -> String {
        let Some(&root) = path.first() else {
            return String::new();
        };
        let nodes = path.iter().map(|node| self.picture.object(*node));
        let objects: Vec<_> = nodes.chain(end).collect();
        // SAFETY: the caller's contract.
        unsafe {
            let mut steps = self.steps(&objects).into_iter().peekable();
            let mut parts = Vec::new();
            if self.is_module(objects[0]) {
                // The module says where it begins.
                let mut first = match steps.next() {
                    Some(step) => step.show(),
                    None => format!("module {}", names::module(objects[0])),
                };
                if let Some(Step {
                    access: Access::Item(item),
                    ..
                }) =
                    steps.next_if(|step| step.is_plain && matches!(step.access, Access::Item(_)))
                {
                    first.push_str(&item);
                }
                parts.push(first);
            } else {
                // A variable that a closure shares is in a cell.
                steps.next_if(|step| step.is_cell);
                parts.push(self.root(root));
            }
            parts.extend(steps.map(|step| step.show()));
            join(parts)
        }
    }

    /// Steps between objects, without saying where they begin.
    pub unsafe fn chain(&self, objects: &[*mut PyObject]) -> String {
        // SAFETY: the caller's contract.
        let steps = unsafe { self.steps(objects) };
        join(steps.iter().map(Step::show).collect())
    }

    /// A cycle: the first object comes again at the end.
    pub unsafe fn cycle(&self, nodes: &[Node]) -> String {
        let mut objects: Vec<_> = nodes
            .iter()
            .map(|node| self.picture.object(*node))
            .collect();
        // SAFETY: the caller's contract.
        unsafe {
            // Begin at an object rather than at its `__dict__`.
            let begin = (0..objects.len()).find(|index| {
                let before = objects[(index + objects.len() - 1) % objects.len()];
                let is_dict = PyDict_CheckExact(objects[*index]) != 0;
                !(is_dict && namespace(before) == objects[*index])
            });
            objects.rotate_left(begin.unwrap_or(0));
            let first = objects[0];
            objects.push(first);
            let mut shown = self.chain(&objects);
            shown.push_str(" → ");
            shown.push_str(&names::owner(first));
            shown
        }
    }

    /// What a root is, in words.
    pub unsafe fn root(&self, root: Node) -> String {
        let object = self.picture.object(root);
        // SAFETY: the caller's contract.
        unsafe {
            if self.is_module(object) {
                return format!("module {}", names::module(object));
            }
            let mut held = self.held_by_frames(object);
            held.sort_by_key(|reference| match reference.place {
                Place::Variable(_) => 0,
                Place::Namespace => 1,
                Place::Temporary => 2,
                Place::Frame => 3,
            });
            if let Some(reference) = held.first() {
                return self.reference(reference);
            }
            if self.picture.from_c.contains_key(&root) {
                return "C code".into();
            }
            if PyType_Check(object) != 0 {
                return format!("built-in type {}", names::short(object.cast()));
            }
            "an immortal object".into()
        }
    }

    /// The references of frames to an object, without wrasse's own.
    pub fn held_by_frames(&self, object: *mut PyObject) -> Vec<&Reference> {
        let stack = &self.picture.stack;
        let others = stack.references.iter().filter(|reference| {
            reference.target == object && !stack.frames[reference.frame as usize].is_own
        });
        others.collect()
    }

    /// One reference of a frame.
    pub unsafe fn reference(&self, reference: &Reference) -> String {
        let frame = &self.picture.stack.frames[reference.frame as usize];
        // SAFETY: the caller's contract.
        unsafe {
            let (function, file, line) = names::place(frame);
            let thread = if frame.is_current_thread {
                ""
            } else {
                ", in another thread"
            };
            let place = format!("{function} ({file}:{line}{thread})");
            match reference.place {
                Place::Variable(number) => {
                    format!("local '{}' in {place}", names::variable(frame.code, number))
                }
                Place::Namespace => format!("namespace of {place}"),
                Place::Temporary => format!("a call in progress in {place}"),
                Place::Frame => format!("running frame of {place}"),
            }
        }
    }

    /// Whether an object is a module that `sys.modules` names.
    pub unsafe fn is_module(&self, object: *mut PyObject) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            PyModule_Check(object) != 0 && self.modules.contains_key(&PyModule_GetDict(object))
        }
    }

    unsafe fn steps(&self, objects: &[*mut PyObject]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut rest = objects;
        // SAFETY: the caller's contract.
        unsafe {
            while let [holder, target, further @ ..] = rest {
                let (holder, target) = (*holder, *target);
                if steps.len() > SHOWN && rest.len() > SHOWN {
                    // The middle of a long path is one thing after another.
                    steps.push(Step {
                        owner: format!("… {} more", rest.len() - SHOWN / 2),
                        is_plain: false,
                        is_cell: false,
                        access: Access::Words(String::new()),
                    });
                    rest = &rest[rest.len() - SHOWN / 2..];
                    continue;
                }
                let mut step = Step {
                    owner: names::owner(holder),
                    is_plain: PyDict_CheckExact(holder) != 0
                        || PyList_CheckExact(holder) != 0
                        || PyTuple_CheckExact(holder) != 0,
                    is_cell: Py_TYPE(holder) == &raw mut PyCell_Type,
                    access: Access::Words(String::new()),
                };
                let mut taken = 1;
                let folded = further.first().and_then(|next| {
                    if PyDict_CheckExact(target) != 0 && namespace(holder) == target {
                        attribute(target, *next)
                    } else if PyFunction_Check(holder) != 0 {
                        of_function(holder, target, *next)
                    } else {
                        None
                    }
                });
                if let Some(access) = folded {
                    step.access = access;
                    taken = 2;
                    // The cell is no more than the variable.
                    if further.len() > 1 && Py_TYPE(further[0]) == &raw mut PyCell_Type {
                        taken = 3;
                    }
                } else if let Some(module) = self.modules.get(&holder) {
                    step.owner.clone_from(module);
                    step.is_plain = false;
                    step.access =
                        attribute(holder, target).unwrap_or_else(|| access(holder, target));
                } else {
                    step.access = access(holder, target);
                }
                steps.push(step);
                rest = &rest[taken..];
            }
        }
        steps
    }
}

/// `function → closure → cell`, and `function → defaults → value`.
unsafe fn of_function(
    function: *mut PyObject,
    tuple: *mut PyObject,
    next: *mut PyObject,
) -> Option<Access> {
    // SAFETY: a live function and a tuple of its; offsets were confirmed.
    unsafe {
        if PyTuple_CheckExact(tuple) == 0 {
            return None;
        }
        let count = PyTuple_GET_SIZE(tuple);
        let index = (0..count).find(|i| PyTuple_GET_ITEM(tuple, *i) == next)?;
        let code = PyFunction_GetCode(function);
        if PyFunction_GetDefaults(function) == tuple {
            return Some(Access::Words(format!("default argument {}", index + 1)));
        }
        if PyFunction_GetClosure(function) != tuple {
            return None;
        }
        let kinds: *mut PyObject = load(code.cast(), CODE_VARIABLE_KINDS);
        let size = PyBytes_Size(kinds) as usize;
        let kinds = std::slice::from_raw_parts(PyBytes_AsString(kinds).cast::<u8>(), size);
        let mut free = (0..size).filter(|slot| kinds[*slot] & KIND_FREE != 0);
        let slot = free.nth(index as usize)?;
        let name = names::variable(code, slot as u32);
        Some(Access::Words(format!("closure variable '{name}'")))
    }
}

fn join(parts: Vec<String>) -> String {
    parts.join(" → ")
}

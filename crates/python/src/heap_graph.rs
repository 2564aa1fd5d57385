//! The heap of the running interpreter as a graph of objects.
//!
//! One pass under the GIL marks every tracked object and what it reaches, a
//! second one counts sizes and references. What refers to what is asked of the
//! objects again each time, which takes no memory; only who asks very often has
//! it written down. Nothing foreign runs in between,
//! and no object is created or kept: a picture is made, answers are read off
//! it while the objects still stand still, and it is dropped.
//!
//! Roots are the modules, the variables of all running frames, and what has
//! more references than were found: somebody in C holds it.
//!
//! Small things held once (strings, numbers) are no nodes: an object without
//! referents whose only reference is in another one counts as part of that.

mod answer;
mod counts;
mod cycles;
pub mod edge;
mod exclusive;
mod explain;
mod layout;
pub mod names;
pub mod path;
mod references;
pub mod referents;
mod sections;
pub mod sizes;
pub mod stack;
mod table;
mod tracked;
mod typed_blocks;
mod why_alive;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::{AddressIndex, Bits, Builder, Exhausted, Graph, Node, Paths, References};

use crate::module::raise;
pub use exclusive::{Exclusive, block_size};
pub use explain::explain;
pub use layout::{CODE_STACK, check};
pub use names::each_module;
pub use sections::write_sections;
pub use table::heap;
pub use why_alive::why_alive;

use counts::Counts;
use referents::{is_eternal, is_tracked, may_refer, referents};
use sizes::Kinds;
use stack::{Place, Stack};
pub use tracked::Tracked;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// There is not enough memory.
    Memory,
    /// This interpreter's inside is not as expected.
    Unknown(String),
    /// A Python exception is set.
    Raised,
}

impl From<Exhausted> for Failure {
    fn from(_: Exhausted) -> Self {
        Self::Memory
    }
}

/// An object that is part of another, for its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Its bytes.
    pub size: u64,
    /// Where it is.
    pub address: usize,
    /// What it is part of.
    pub holder: Node,
}

/// How many of the largest leaves are remembered.
const LEAVES: usize = 1000;

/// The heap at one moment. Objects are alive as long as the GIL is held.
pub struct Picture {
    /// References between nodes, where they are written down; else empty.
    pub graph: Graph,
    /// Types, with all their objects.
    pub kinds: Kinds,
    /// The frames of all threads.
    pub stack: Stack,
    /// The largest objects that are no nodes.
    pub leaves: Vec<Leaf>,
    /// Modules, variables of frames and what else frames name.
    pub named: Vec<Node>,
    /// What frames hold without a name.
    pub unnamed: Vec<Node>,
    /// What has more references than were found, and how many more.
    pub from_c: HashMap<Node, u64>,
    /// What lives as long as the process.
    pub eternal: Vec<Node>,
    is_eternal: Bits,
    index: AddressIndex,
}

/// Collections are off while it lives: on 3.11 the creation of any container
/// may start one.
struct Quiet(bool);

impl Quiet {
    fn begin() -> Self {
        // SAFETY: flips a flag of the running interpreter.
        Self(unsafe { PyGC_Disable() } != 0)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: as above.
            unsafe { PyGC_Enable() };
        }
    }
}

/// Makes a picture and lets `answer` read it.
///
/// # Safety
/// Called from Python through one of this extension's functions, whose
/// arguments end at `arguments_end`.
unsafe fn look(
    arguments_end: *const *mut PyObject,
    answer: impl FnOnce(&mut Picture) -> Result<answer::Value, Failure>,
) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let found = (|| {
            layout::check().map_err(Failure::Unknown)?;
            let tracked = Tracked::find()?;
            let quiet = Quiet::begin();
            let mut picture = Picture::take(&tracked, Some(arguments_end), false)?;
            let answered = answer(&mut picture)?;
            drop(picture);
            let object = answered.into_object();
            drop(quiet);
            Ok(object)
        })();
        match found {
            Ok(object) => object,
            Err(Failure::Memory) => PyErr_NoMemory(),
            Err(Failure::Raised) => std::ptr::null_mut(),
            Err(Failure::Unknown(reason)) => {
                let text = format!("the heap cannot be read here: {reason}");
                raise(PyExc_RuntimeError, &text)
            }
        }
    }
}

/// As [`look`], for a function of an object and a limit: with the object's node.
unsafe fn look_at(
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
    answer: impl FnOnce(&mut Picture, *mut PyObject, Node, usize) -> Result<answer::Value, Failure>,
) -> *mut PyObject {
    // SAFETY: the caller passes its arguments on.
    unsafe {
        if count != 2 {
            return raise(PyExc_TypeError, "two arguments are expected");
        }
        let object = *arguments;
        let Some(limit) = limit(*arguments.add(1)) else {
            return std::ptr::null_mut();
        };
        look(arguments.add(2), |picture| {
            let Some(node) = picture.node(object) else {
                return Err(Failure::Unknown(
                    "the object is not where it should be".into(),
                ));
            };
            answer(picture, object, node, limit)
        })
    }
}

/// A limit among the arguments. Without one an exception is set.
unsafe fn limit(argument: *mut PyObject) -> Option<usize> {
    // SAFETY: the GIL is held, and arguments are alive.
    unsafe {
        let limit = PyLong_AsSsize_t(argument);
        if limit == -1 && !PyErr_Occurred().is_null() {
            return None;
        }
        let limit = usize::try_from(limit).ok();
        if limit.is_none() {
            raise(PyExc_ValueError, "limit cannot be negative");
        }
        limit
    }
}

/// The first pass: which objects there are.
#[derive(Default)]
struct Census {
    index: AddressIndex,
    eternal: Vec<*mut PyObject>,
    /// Untracked objects that are still to be asked what they refer to.
    pending: Vec<*mut PyObject>,
    references: usize,
    failed: bool,
}

impl Census {
    /// # Safety
    /// `object` is alive; so for the other functions.
    unsafe fn mark(&mut self, object: *mut PyObject) {
        // SAFETY: the caller's contract.
        unsafe {
            match self.index.mark(object as usize) {
                Ok(false) => {}
                Ok(true) => {
                    if is_eternal(object) {
                        self.keep(object, |census| &mut census.eternal);
                    }
                    if !is_tracked(object) && may_refer(object) {
                        self.keep(object, |census| &mut census.pending);
                    }
                }
                Err(Exhausted) => self.failed = true,
            }
        }
    }

    fn keep(&mut self, object: *mut PyObject, list: impl Fn(&mut Self) -> &mut Vec<*mut PyObject>) {
        let list = list(self);
        if list.try_reserve(1).is_ok() {
            list.push(object);
        } else {
            self.failed = true;
        }
    }

    unsafe fn meet(&mut self, object: *mut PyObject) {
        // SAFETY: the caller's contract.
        unsafe {
            if self.index.contains(object as usize) {
                self.references += 1;
            } else if !is_part(object) {
                self.mark(object);
                self.references += 1;
            }
        }
    }

    unsafe fn ask(&mut self, object: *mut PyObject) {
        // SAFETY: the caller's contract.
        unsafe {
            referents(object, &mut |target| self.meet(target));
            while let Some(object) = self.pending.pop() {
                referents(object, &mut |target| self.meet(target));
            }
        }
    }
}

/// Whether `object`, which another one refers to, is part of that: nobody else
/// holds it, and it holds nothing.
unsafe fn is_part(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object.
    unsafe { Py_REFCNT(object) == 1 && !may_refer(object) }
}

impl Picture {
    /// Makes a picture where no function of this extension was called from Python,
    /// with its graph written down, and lets `answer` read it.
    ///
    /// # Errors
    /// Those of `answer`, and no memory, or a heap that cannot be read here.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn at_rest<T>(
        answer: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // SAFETY: the caller's contract.
        unsafe {
            layout::check().map_err(Failure::Unknown)?;
            let tracked = Tracked::find()?;
            let _quiet = Quiet::begin();
            let mut picture = Self::take(&tracked, None, true)?;
            answer(&mut picture)
        }
    }

    unsafe fn take(
        tracked: &Tracked,
        arguments_end: Option<*const *mut PyObject>,
        written: bool,
    ) -> Result<Self, Failure> {
        // SAFETY: the GIL is held throughout, and nothing is freed.
        unsafe {
            let stack = Stack::read(arguments_end)?;
            let mut census = Census::default();
            for reference in &stack.references {
                census.mark(reference.target);
            }
            tracked.each(|object| {
                census.mark(object);
                census.ask(object);
            });
            if census.failed {
                return Err(Failure::Memory);
            }
            let Census {
                mut index,
                eternal,
                references,
                ..
            } = census;
            index.seal()?;
            let mut is_eternal = Bits::new(index.len())?;
            let eternal: Vec<Node> = eternal
                .iter()
                .filter_map(|object| index.number(*object as usize))
                .inspect(|node| is_eternal.set(*node))
                .collect();
            let mut record = Record {
                builder: match written {
                    true => Some(Builder::new(index.len(), references)?),
                    false => None,
                },
                kinds: Kinds::default(),
                found: Counts::new(index.len())?,
                leaves: BinaryHeap::new(),
                folded: 0,
                failed: None,
            };
            for (node, address) in index.addresses().enumerate() {
                let object = address as *mut PyObject;
                record.folded = 0;
                referents(object, &mut |target| {
                    record.add(node as Node, target, &index, &is_eternal);
                });
                let (kind, size) = record.kinds.count(object)?;
                if let Some(builder) = &mut record.builder {
                    builder.node(kind, size + record.folded)?;
                }
            }
            if let Some(failure) = record.failed {
                return Err(failure);
            }
            let mut picture = Self {
                graph: record.builder.map(Builder::finish).unwrap_or_default(),
                kinds: record.kinds,
                leaves: record
                    .leaves
                    .into_iter()
                    .map(|Reverse(leaf)| leaf)
                    .collect(),
                named: Vec::new(),
                unnamed: Vec::new(),
                from_c: HashMap::new(),
                eternal,
                is_eternal,
                index,
                stack,
            };
            picture.find_roots(record.found)?;
            Ok(picture)
        }
    }

    unsafe fn find_roots(&mut self, mut found: Counts) -> Result<(), Failure> {
        // SAFETY: as in `take`.
        unsafe {
            let mut namespaces = HashSet::new();
            names::each_module(|module| {
                let dict = PyModule_GetDict(module);
                namespaces.insert(dict);
                self.named.extend(self.index.number(module as usize));
            });
            for reference in &self.stack.references {
                let Some(node) = self.index.number(reference.target as usize) else {
                    continue;
                };
                if !reference.is_shared {
                    found.add(node)?;
                }
                if self.stack.frames[reference.frame as usize].is_own {
                    continue;
                }
                let is_named = match reference.place {
                    Place::Variable(_) => true,
                    Place::Namespace => !namespaces.contains(&reference.target),
                    Place::Temporary | Place::Frame => false,
                };
                let list = if is_named {
                    &mut self.named
                } else {
                    &mut self.unnamed
                };
                list.push(node);
            }
            for (node, address) in self.index.addresses().enumerate() {
                let count = Py_REFCNT(address as *mut PyObject) as u64;
                let found = found.get(node as Node);
                if count > found && !self.is_eternal.get(node as Node) {
                    self.from_c.try_reserve(1).map_err(|_| Failure::Memory)?;
                    self.from_c.insert(node as Node, count - found);
                }
            }
        }
        Ok(())
    }

    /// The node of `object`, unless it is part of another.
    pub fn node(&self, object: *mut PyObject) -> Option<Node> {
        self.index.number(object as usize)
    }

    /// The object at a node.
    pub fn object(&self, node: Node) -> *mut PyObject {
        debug_assert!((node as usize) < self.index.len());
        self.index.address(node).unwrap_or(0) as *mut PyObject
    }

    /// The objects of all nodes, in their order.
    pub fn objects(&self) -> impl Iterator<Item = *mut PyObject> {
        self.index
            .addresses()
            .map(|address| address as *mut PyObject)
    }

    /// What is alive by itself and has no name, in ascending order.
    pub fn held_from_c(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = self.from_c.keys().copied().collect();
        nodes.sort_unstable();
        nodes
    }

    /// The shortest paths from all roots: from named ones before others.
    pub fn paths(&self, barrier: Option<Node>) -> Result<Paths, Failure> {
        let from_c = self.held_from_c();
        Ok(Paths::from(self, &self.groups(&from_c), barrier)?)
    }

    /// As [`paths`](Self::paths), until `met` has seen enough references.
    pub fn paths_until(
        &self,
        barrier: Option<Node>,
        met: impl FnMut(Node, Node) -> bool,
    ) -> Result<Paths, Failure> {
        let from_c = self.held_from_c();
        Ok(Paths::until(self, &self.groups(&from_c), barrier, met)?)
    }

    fn groups<'a>(&'a self, from_c: &'a [Node]) -> [&'a [Node]; 4] {
        [&self.named, &self.unnamed, from_c, &self.eternal]
    }

    /// All that is alive by itself.
    pub fn roots(&self) -> Vec<Node> {
        self.groups(&self.held_from_c()).concat()
    }

    /// Who refers to each of `nodes`: one look at all references.
    pub fn sources(&self, nodes: &HashSet<Node>) -> HashMap<Node, Vec<Node>> {
        let mut sources: HashMap<Node, Vec<Node>> = HashMap::new();
        if nodes.is_empty() {
            return sources;
        }
        let (low, high) = nodes.iter().fold((Node::MAX, 0), |(low, high), node| {
            (low.min(*node), high.max(*node))
        });
        for node in 0..self.index.len() as Node {
            self.each(node, |target| {
                if (low..=high).contains(&target) && nodes.contains(&target) {
                    let list = sources.entry(target).or_default();
                    if list.last() != Some(&node) {
                        list.push(node);
                    }
                }
            });
        }
        sources
    }
}

/// The second pass: sizes and references.
struct Record {
    builder: Option<Builder>,
    kinds: Kinds,
    found: Counts,
    leaves: BinaryHeap<Reverse<Leaf>>,
    /// The bytes of what is part of the node at hand.
    folded: u64,
    failed: Option<Failure>,
}

impl Record {
    unsafe fn add(
        &mut self,
        holder: Node,
        target: *mut PyObject,
        index: &AddressIndex,
        eternal: &Bits,
    ) {
        if let Some(node) = index.number(target as usize) {
            if !eternal.get(node) {
                let written = match &mut self.builder {
                    Some(builder) => builder.reference(node),
                    None => Ok(()),
                };
                if self.found.add(node).is_err() || written.is_err() {
                    self.failed = Some(Failure::Memory);
                }
            }
            return;
        }
        // SAFETY: a live object that the first pass found to be a part.
        match unsafe { self.kinds.fold(target) } {
            Err(failure) => self.failed = Some(failure),
            Ok(size) => {
                self.folded += size;
                let smallest = self.leaves.peek().map_or(0, |Reverse(leaf)| leaf.size);
                if self.leaves.len() < LEAVES || size > smallest {
                    if self.leaves.len() == LEAVES {
                        self.leaves.pop();
                    }
                    self.leaves.push(Reverse(Leaf {
                        size,
                        address: target as usize,
                        holder,
                    }));
                }
            }
        }
    }
}

//! What is alive, and why: a count by type, who is held from outside the heap,
//! and by which fields one gets from there to an object.
//!
//! ```
//! use std::cell::RefCell;
//! use wrasse::{Gc, Trace, leaks, gc};
//!
//! #[derive(Trace)]
//! struct Session { user: String, log: RefCell<Vec<Gc<Line>>> }
//! #[derive(Trace)]
//! struct Line { session: RefCell<Option<Gc<Session>>> }
//!
//! let session = Gc::new(Session { user: "Ann".into(), log: RefCell::default() });
//! let line = Gc::new(Line { session: RefCell::new(Some(session.clone())) });
//! session.log.borrow_mut().push(line.clone());
//! let weak = Gc::downgrade(&line);
//! drop(line);
//!
//! // Why is the line still there?
//! let path = leaks::why(&weak.upgrade().unwrap());
//! assert_eq!(path[0].field, "log");
//! println!("{}", wrasse::leaks());
//! ```

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::{self, Write};

use crate::gc::{each_referent, each_tracked};
use crate::handle::Handle;
use crate::header::{Object, value_of};
use crate::heap;
use crate::pointer::Gc;
use crate::trace::Tracer;

/// What is alive in this thread's heap, see [`leaks`].
#[derive(Clone, Debug)]
pub struct Leaks {
    /// Objects by type, those with most bytes first.
    pub types: Vec<TypeCount>,
    /// Objects with references from outside the heap: from the stack, from
    /// statics, from fields that are not traced.
    pub held: Vec<Held>,
}

/// The objects of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeCount {
    /// The name of the type.
    pub name: &'static str,
    /// Tracked objects.
    pub count: usize,
    /// Bytes of their values.
    pub bytes: usize,
}

/// An object that is held from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The object.
    pub object: Handle,
    /// References to it from outside.
    pub references: usize,
}

/// One step on the way to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The object that the step begins at.
    pub from: Handle,
    /// The field that leads on; empty if its type does not tell names.
    pub field: &'static str,
}

/// The tracked objects and their references.
struct Graph {
    objects: Vec<Object>,
    /// For each object the fields and the objects that they lead to.
    edges: HashMap<Object, Vec<(&'static str, Object)>>,
}

impl Graph {
    fn now() -> Self {
        let mut graph = Self {
            objects: Vec::new(),
            edges: HashMap::new(),
        };
        each_tracked(heap::current(), |object| {
            graph.objects.push(object);
            graph.edges.insert(object, named_edges(object));
        });
        graph
    }

    /// References to each object that come from others.
    fn inside(&self) -> HashMap<Object, usize> {
        let mut inside = HashMap::new();
        for (_, target) in self.edges.values().flatten() {
            *inside.entry(*target).or_default() += 1;
        }
        inside
    }

    /// Objects with references from outside, and how many.
    fn held(&self) -> Vec<(Object, usize)> {
        let inside = self.inside();
        let outside = |object: &Object| {
            // SAFETY: the objects are alive: nothing was dropped since `now`.
            let count = unsafe { object.as_ref().count() };
            count.saturating_sub(inside.get(object).copied().unwrap_or(0))
        };
        let held = self.objects.iter().map(|object| (*object, outside(object)));
        held.filter(|(_, references)| *references > 0).collect()
    }
}

/// What an object refers to, with the names of the fields as far as known.
fn named_edges(object: Object) -> Vec<(&'static str, Object)> {
    let mut all = Vec::new();
    each_referent(object, &mut |target| all.push(target));
    let mut edges = Vec::with_capacity(all.len());
    // SAFETY: callers pass objects that are alive.
    unsafe {
        (object.as_ref().kind().fields)(object, &mut |name, field| {
            field.trace(&mut Tracer::all(&mut |target| {
                if let Some(index) = all.iter().position(|other| *other == target) {
                    all.swap_remove(index);
                    edges.push((name, target));
                }
            }));
        });
    }
    edges.extend(all.into_iter().map(|target| ("", target)));
    edges
}

fn type_name(object: Object) -> &'static str {
    // SAFETY: callers pass objects that are alive.
    unsafe { (object.as_ref().kind().name)() }
}

fn handle(object: Object) -> Handle {
    // SAFETY: callers pass objects that are alive.
    unsafe { Handle::to(object) }
}

/// What is alive in this thread's heap.
///
/// As for Python's `gc.get_objects`, that is the tracked objects: those that
/// could be part of a cycle. To see only what nothing can free, collect first.
pub fn leaks() -> Leaks {
    let graph = Graph::now();
    let mut types: BTreeMap<&str, TypeCount> = BTreeMap::new();
    for &object in &graph.objects {
        let name = type_name(object);
        let count = types.entry(name).or_insert(TypeCount {
            name,
            count: 0,
            bytes: 0,
        });
        count.count += 1;
        // SAFETY: the object is alive.
        count.bytes += unsafe { (object.as_ref().kind().layout)(object).size() };
    }
    let mut types: Vec<_> = types.into_values().collect();
    types.sort_by_key(|count| std::cmp::Reverse(count.bytes));
    let held = graph.held().into_iter();
    let held = held.map(|(object, references)| Held {
        object: handle(object),
        references,
    });
    Leaks {
        types,
        held: held.collect(),
    }
}

/// The shortest way from an object that is held from outside to the object of
/// `gc`, not counting `gc` itself. Empty if the object itself is held.
pub fn why<T: ?Sized>(gc: &Gc<T>) -> Vec<Step> {
    let goal = gc.object();
    let graph = Graph::now();
    let mut came: HashMap<Object, (Object, &'static str)> = HashMap::new();
    let mut seen: HashSet<Object> = HashSet::new();
    let mut queue = VecDeque::new();
    for (object, references) in graph.held() {
        // The reference that the question is asked with does not count.
        if references > usize::from(object == goal) {
            seen.insert(object);
            queue.push_back(object);
        }
    }
    while let Some(object) = queue.pop_front() {
        if object == goal {
            let mut path = VecDeque::new();
            let mut at = goal;
            while let Some(&(from, field)) = came.get(&at) {
                path.push_front(Step {
                    from: handle(from),
                    field,
                });
                at = from;
            }
            return path.into();
        }
        for &(field, target) in graph.edges.get(&object).into_iter().flatten() {
            if seen.insert(target) {
                came.insert(target, (object, field));
                queue.push_back(target);
            }
        }
    }
    Vec::new()
}

/// The heap as a graph in Graphviz's DOT language; objects that are held from
/// outside are drawn bold.
pub fn graph() -> String {
    let graph = Graph::now();
    let held: HashMap<Object, usize> = graph.held().into_iter().collect();
    let mut dot = String::from("digraph heap {\n    node [shape=box];\n");
    let id = |object: Object| value_of(object).addr();
    for &object in &graph.objects {
        let style = if held.contains_key(&object) {
            ", style=bold"
        } else {
            ""
        };
        let name = type_name(object).replace('"', "\\\"");
        // Writing to a string does not fail.
        let _ = writeln!(dot, "    \"{:#x}\" [label=\"{name}\"{style}];", id(object));
        for (field, target) in &graph.edges[&object] {
            let _ = writeln!(
                dot,
                "    \"{:#x}\" -> \"{:#x}\" [label=\"{field}\"];",
                id(object),
                id(*target)
            );
        }
    }
    dot.push_str("}\n");
    dot
}

impl fmt::Display for Leaks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.types.iter().map(|count| count.count).sum();
        let bytes: usize = self.types.iter().map(|count| count.bytes).sum();
        writeln!(formatter, "{count} objects, {bytes} bytes")?;
        for TypeCount { name, count, bytes } in &self.types {
            writeln!(formatter, "{count:>10} {bytes:>12} B  {name}")?;
        }
        if !self.held.is_empty() {
            writeln!(formatter, "held from outside:")?;
        }
        for Held { object, references } in &self.held {
            writeln!(formatter, "{references:>10} to {object:?}")?;
        }
        Ok(())
    }
}

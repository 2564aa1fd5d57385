//! What is alive, and why: a count by type and by the line that allocated, who is
//! held from outside the heap, and by which fields one gets from there to an object.
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
//!
//! # Allocation sites
//! Where objects were allocated is known of those that were allocated while
//! `tracemalloc` was tracing. Then it is in the report, in the graph, and printed
//! with each object.

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
    /// Objects by type and by the line that allocated them, as far as it is
    /// known, those with most bytes first.
    pub sites: Vec<SiteCount>,
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

/// The objects of one type that one line allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCount {
    /// The name of the type.
    pub name: &'static str,
    /// The line, as `file:line`.
    pub site: String,
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
    /// The line that allocated it, as `file:line`, if it is known.
    pub site: Option<String>,
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
    let mut left: HashMap<Object, usize> = HashMap::new();
    each_referent(object, &mut |target| {
        all.push(target);
        *left.entry(target).or_default() += 1;
    });
    let mut take = |target| match left.get_mut(&target) {
        Some(count @ 1..) => {
            *count -= 1;
            true
        }
        _ => false,
    };
    let mut edges = Vec::with_capacity(all.len());
    // SAFETY: callers pass objects that are alive.
    unsafe {
        (object.as_ref().kind().fields)(object, &mut |name, field| {
            field.trace(&mut Tracer::all(&mut |target| {
                if take(target) {
                    edges.push((name, target));
                }
            }));
        });
    }
    edges.extend(
        all.into_iter()
            .filter(|target| take(*target))
            .map(|target| ("", target)),
    );
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
    let sites = sites(&graph.objects);
    let mut types: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut lines: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for object in &graph.objects {
        let name = type_name(*object);
        // SAFETY: the object is alive.
        let size = unsafe { (object.as_ref().kind().layout)(*object).size() };
        let add = |(count, bytes): &mut (usize, usize)| {
            *count += 1;
            *bytes += size;
        };
        add(types.entry(name).or_default());
        if let Some(site) = sites.get(object) {
            add(lines.entry((name, site)).or_default());
        }
    }
    let types = types
        .into_iter()
        .map(|(name, (count, bytes))| TypeCount { name, count, bytes });
    let mut types: Vec<_> = types.collect();
    types.sort_by_key(|count| std::cmp::Reverse(count.bytes));
    let lines = lines
        .into_iter()
        .map(|((name, site), (count, bytes))| SiteCount {
            name,
            site: site.to_owned(),
            count,
            bytes,
        });
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|count| std::cmp::Reverse(count.bytes));
    let held = graph.held().into_iter();
    let held = held.map(|(object, references)| Held {
        object: handle(object),
        site: sites.get(&object).cloned(),
        references,
    });
    Leaks {
        types,
        sites: lines,
        held: held.collect(),
    }
}

/// The lines that allocated those of `objects` whose line is known.
fn sites(objects: &[Object]) -> HashMap<Object, String> {
    #[cfg(feature = "tracemalloc")]
    {
        let addresses = objects.iter().map(|object| object.addr().get()).collect();
        let traced = crate::tracemalloc::objects_traced(addresses);
        let mut lines: HashMap<usize, String> = traced
            .into_iter()
            .map(|(address, traceback)| (address, traceback.most_recent().to_string()))
            .collect();
        let site = |object: &Object| Some((*object, lines.remove(&object.addr().get())?));
        objects.iter().filter_map(site).collect()
    }
    #[cfg(not(feature = "tracemalloc"))]
    {
        let _ = objects;
        HashMap::new()
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
/// outside are drawn bold. Objects are labelled with their type and, as far as it
/// is known, with the line that allocated them.
pub fn graph() -> String {
    let graph = Graph::now();
    let held: HashMap<Object, usize> = graph.held().into_iter().collect();
    let sites = sites(&graph.objects);
    let mut dot = String::from("digraph heap {\n    node [shape=box];\n");
    let id = |object: Object| value_of(object).addr();
    for &object in &graph.objects {
        let style = if held.contains_key(&object) {
            ", style=bold"
        } else {
            ""
        };
        let mut label = escaped(type_name(object));
        if let Some(site) = sites.get(&object) {
            label += "\\n";
            label += &escaped(site);
        }
        // Writing to a string does not fail.
        let _ = writeln!(dot, "    \"{:#x}\" [label=\"{label}\"{style}];", id(object));
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

/// Text between quotes in DOT.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

impl fmt::Display for Leaks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.types.iter().map(|count| count.count).sum();
        let bytes: usize = self.types.iter().map(|count| count.bytes).sum();
        writeln!(formatter, "{count} objects, {bytes} bytes")?;
        for TypeCount { name, count, bytes } in &self.types {
            writeln!(formatter, "{count:>10} {bytes:>12} B  {name}")?;
        }
        if !self.sites.is_empty() {
            writeln!(formatter, "allocated at:")?;
        }
        for count in &self.sites {
            let SiteCount { name, site, .. } = count;
            let (count, bytes) = (count.count, count.bytes);
            writeln!(formatter, "{count:>10} {bytes:>12} B  {name} at {site}")?;
        }
        if !self.held.is_empty() {
            writeln!(formatter, "held from outside:")?;
        }
        for held in &self.held {
            let (references, object) = (held.references, &held.object);
            write!(formatter, "{references:>10} to {object:?}")?;
            match &held.site {
                Some(site) => writeln!(formatter, " from {site}")?,
                None => writeln!(formatter)?,
            }
        }
        Ok(())
    }
}

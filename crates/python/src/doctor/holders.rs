//! By which path what grew is held, and what nobody can be found to hold, in the
//! picture of the heap at the end of the program.

use std::collections::HashMap;
use std::ffi::CStr;
use std::ptr;

use pyo3_ffi::*;
use wrasse_doctor::Observations;
use wrasse_doctor::observations::Unheld;
use wrasse_graph::{Node, Paths};
use wrasse_tracer::TracebackId;

use super::garbage::traceback_of;
use super::growth::Seen;
use super::held::{is_cache, length};
use super::{grown_types, lines};
use crate::census;
use crate::heap_graph::edge;
use crate::heap_graph::path::Words;
use crate::heap_graph::referents::referents;
use crate::heap_graph::{Failure, Picture, names};

/// Objects whose traceback is looked up, at most.
const MOST_LOOKUPS: usize = 5_000_000;
/// Objects of one line that are named by type.
const MOST_NAMED: u64 = 100_000;
/// A container with fewer items holds those that grow, rather than growing itself.
pub const MANY: u64 = 16;
/// So many of a kind are needed for a leak: whoever keeps a few in C has a reason.
const FEWEST_UNHELD: u64 = 20;

/// An object allocated at a line, and who holds it.
struct Sample {
    holder: Option<Node>,
    object: *mut PyObject,
}

/// Fills in the paths of `observations.growth.lines`, whose tracebacks are
/// `seen.behind`, what grew by type, and what is held by nobody.
///
/// # Errors
/// No memory.
///
/// # Safety
/// The GIL is held since the picture was taken, and no exception is set; no Python
/// code of the program runs.
pub unsafe fn find(
    picture: &Picture,
    observations: &mut Observations,
    seen: &Seen,
) -> Result<(), Failure> {
    // SAFETY: the caller's contract.
    unsafe {
        paths(picture, observations, seen)?;
        unheld(picture, observations)
    }
}

unsafe fn paths(
    picture: &Picture,
    observations: &mut Observations,
    seen: &Seen,
) -> Result<(), Failure> {
    let behind = &seen.behind;
    if behind.is_empty() {
        return Ok(());
    }
    let mut lines: HashMap<TracebackId, usize> = HashMap::new();
    for (line, tracebacks) in behind.iter().enumerate() {
        lines.extend(tracebacks.iter().map(|id| (*id, line)));
    }
    let mut samples: Vec<Option<Sample>> = Vec::new();
    samples.resize_with(behind.len(), || None);
    let mut kinds: Vec<HashMap<*mut PyTypeObject, (u64, u64)>> = vec![HashMap::new(); behind.len()];
    let mut lookups = 0;
    let found = picture.paths(None)?;
    let lengths = found.lengths()?;
    // SAFETY: called while the picture stands.
    unsafe {
        let mut look_up = |object: *mut PyObject, holder: Option<Node>, size: u64| {
            lookups += 1;
            if lookups > MOST_LOOKUPS {
                return;
            }
            let Some(&line) = traceback_of(object).and_then(|id| lines.get(&id)) else {
                return;
            };
            let (count, bytes) = kinds[line].entry(Py_TYPE(object)).or_default();
            if *count < MOST_NAMED {
                *count += 1;
                *bytes += size;
            }
            let length = |sample: &Sample| sample.holder.map_or(0, |node| lengths[node as usize]);
            let sample = Sample { holder, object };
            let reached = holder.is_none_or(|holder| found.reaches(holder));
            let shorter = samples[line]
                .as_ref()
                .is_none_or(|known| length(&sample) < length(known));
            if reached && shorter {
                samples[line] = Some(sample);
            }
        };
        for node in picture.graph.nodes() {
            let object = picture.object(node);
            if found.reaches(node) {
                let path_above = above(&found, node)?;
                look_up(object, path_above, picture.graph.size(node));
            }
            referents(object, &mut |target| {
                // What is part of another object is no node.
                if Py_REFCNT(target) == 1 && picture.node(target).is_none() {
                    look_up(target, Some(node), 0);
                }
            });
        }
        let words = Words::new(picture);
        let libraries = Observations {
            libraries: observations.libraries.clone(),
            ..Observations::default()
        };
        let libraries = &libraries;
        for (line, sample) in samples.iter().enumerate() {
            let growth = &mut observations.growth.lines[line];
            let mut types: Vec<_> = kinds[line].iter().collect();
            types.sort_by_key(|(_, (count, bytes))| std::cmp::Reverse((*bytes, *count)));
            growth.types = types
                .into_iter()
                .take(3)
                .map(|(kind, (count, _))| (census::name_of(*kind), *count))
                .collect();
            let Some(sample) = sample else { continue };
            let path = match sample.holder {
                Some(holder) => found.to(holder)?,
                None => Vec::new(),
            };
            growth.path = if path.is_empty() {
                picture
                    .node(sample.object)
                    .map_or_else(String::new, |node| words.root(node))
            } else {
                words.path(&path, Some(sample.object))
            };
            let way = Way::of(picture, &words, &path, libraries);
            (growth.holders, growth.is_global) = (way.holders, way.is_global);
            growth.container = way.container;
            let kind = way.large.map(|large| names::short(Py_TYPE(large)));
            growth.container_type = kind.unwrap_or_default();
        }
        grown_types::find(picture, &found, &lengths, observations, seen)?;
    }
    Ok(())
}

/// What a path to something that grew goes through.
pub struct Way {
    /// The functions that made the containers on it; the objects, if there are none.
    pub holders: Vec<String>,
    /// Whether it begins at a module and does not end in a cache with a bound, which
    /// may hold anything but does not go on growing.
    pub is_global: bool,
    /// The way to the first container that has many items, or to the first one.
    pub container: String,
    /// That container.
    pub large: Option<*mut PyObject>,
}

impl Way {
    /// # Safety
    /// As for [`find`]; the picture is as it was taken.
    pub unsafe fn of(
        picture: &Picture,
        words: &Words<'_>,
        path: &[Node],
        libraries: &Observations,
    ) -> Self {
        // SAFETY: the caller's contract.
        unsafe {
            let root = path.first().copied();
            let own = |node: &Node| {
                let object = picture.object(*node);
                let id = traceback_of(object)?;
                lines::own_function(id, libraries)
            };
            let is_inside = |node: &Node| !words.is_module(picture.object(*node));
            // Behind the first that is no module: that is a module's namespace, unless the
            // path begins at a variable.
            let is_global = root.is_some_and(|root| words.is_module(picture.object(root)));
            let first = path.iter().position(is_inside);
            let first = first.map_or(path.len(), |at| at + usize::from(is_global));
            let inside: Vec<Node> = path[first..].iter().copied().filter(is_inside).collect();
            let mut containers: Vec<Node> = Vec::new();
            for (at, node) in path.iter().enumerate().skip(first) {
                let object = picture.object(*node);
                let above = at.checked_sub(1).map(|above| picture.object(path[above]));
                let is_namespace = above.is_some_and(|above| edge::namespace(above) == object);
                if is_inside(node) && is_container(object) && !is_namespace {
                    containers.push(*node);
                }
            }
            let holders = if containers.is_empty() {
                &inside
            } else {
                &containers
            };
            let holders = holders.iter();
            let last = containers.last().map(|node| picture.object(*node));
            let has_bound = last.is_some_and(|last| is_bounded_cache(last));
            let mut each = containers.iter();
            let large = each.find(|node| has_many(picture.object(**node)));
            let large = large.or(containers.first());
            let container = large.map_or(String::new(), |node| {
                let end = path.iter().position(|each| each == node).unwrap_or(0);
                words.path(&path[..end], Some(picture.object(*node)))
            });
            Self {
                holders: holders.map(|node| own(node).unwrap_or_default()).collect(),
                is_global: is_global && !has_bound,
                container,
                large: large.map(|node| picture.object(*node)),
            }
        }
    }
}

/// Whether a container has many items, or if that is not known, may have.
unsafe fn has_many(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object.
    unsafe {
        let is_counted =
            PyDict_Check(object) != 0 || PyList_Check(object) != 0 || PyAnySet_Check(object) != 0;
        !is_counted || length(object) >= MANY
    }
}

/// Whether it is made to hold any number of objects.
pub unsafe fn is_container(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object.
    unsafe {
        let name = CStr::from_ptr((*Py_TYPE(object)).tp_name);
        PyDict_Check(object) != 0
            || PyList_Check(object) != 0
            || PyAnySet_Check(object) != 0
            || name == c"collections.deque"
            || is_cache(object)
    }
}

/// Whether it is a cache of `functools.lru_cache` with a `maxsize`: only those keep
/// their entries in the order of use, each in a link of its own.
unsafe fn is_bounded_cache(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object, and what it refers to is alive.
    unsafe {
        let mut is_bounded = false;
        if is_cache(object) {
            referents(object, &mut |part| {
                let (mut at, mut value) = (0, ptr::null_mut());
                if PyDict_CheckExact(part) != 0
                    && PyDict_Next(part, &raw mut at, ptr::null_mut(), &raw mut value) != 0
                {
                    let name = CStr::from_ptr((*Py_TYPE(value)).tp_name);
                    is_bounded |= name == c"functools._lru_list_elem";
                }
            });
        }
        is_bounded
    }
}

/// The node before the last on the path to `node`.
fn above(found: &Paths, node: Node) -> Result<Option<Node>, Failure> {
    let previous = found.previous(node);
    Ok(previous.filter(|previous| *previous != node))
}

/// What only references from C lead to, where these are many.
unsafe fn unheld(picture: &Picture, observations: &mut Observations) -> Result<(), Failure> {
    let groups = [picture.named.as_slice(), &picture.unnamed, &picture.eternal];
    let known = Paths::from(&picture.graph, &groups, None)?;
    let mut found: HashMap<(*mut PyTypeObject, TracebackId), Unheld> = HashMap::new();
    let mut counted = vec![false; picture.graph.len()];
    // SAFETY: called while the picture stands.
    unsafe {
        for node in picture.held_from_c() {
            if known.reaches(node) {
                continue;
            }
            let object = picture.object(node);
            let kind = Py_TYPE(object);
            let Some(traceback) = traceback_of(object) else {
                continue;
            };
            let group = found.entry((kind, traceback)).or_default();
            group.count += 1;
            group.references += picture.from_c.get(&node).copied().unwrap_or(0);
            let mut stack = vec![node];
            while let Some(node) = stack.pop() {
                if std::mem::replace(&mut counted[node as usize], true) || known.reaches(node) {
                    continue;
                }
                group.bytes += picture.graph.size(node);
                stack.extend(picture.graph.targets(node));
            }
        }
        for ((kind, traceback), mut group) in found {
            if group.count >= FEWEST_UNHELD {
                group.name = census::name_of(kind);
                group.frames = lines::of_traceback(traceback);
                observations.growth.unheld.push(group);
            }
        }
    }
    observations
        .growth
        .unheld
        .sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    Ok(())
}

//! `wrasse.why_alive(obj)`: by which paths something that is alive by itself
//! leads to an object.

use std::collections::HashSet;

use pyo3_ffi::*;
use wrasse_graph::{Node, shortest_cycle};

use super::answer::Value;
use super::path::Words;
use super::referents::is_eternal;
use super::{Failure, Picture, edge, look_at, names};

/// How far up from an unreachable object a cycle is looked for.
const CLIMB: usize = 20;

/// `_core.why_alive(obj, limit)`.
pub unsafe extern "C" fn why_alive(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention for METH_FASTCALL.
    unsafe {
        look_at(arguments, count, |picture, object, node, limit| {
            answer(picture, object, node, limit)
        })
    }
}

unsafe fn answer(
    picture: &mut Picture,
    object: *mut PyObject,
    node: Node,
    limit: usize,
) -> Result<Value, Failure> {
    // SAFETY: called by `look`.
    unsafe {
        let kind = names::full_type(object);
        let label = names::label(object);
        if is_eternal(object) {
            let text = format!("{label}: immortal, it lives as long as the process");
            return Ok(result(kind, true, Vec::new(), None, text));
        }
        let (paths, more) = paths(picture, node, limit.max(1))?;
        if !paths.is_empty() {
            let mut text = format!("{label} is alive:");
            for path in &paths {
                text.push_str("\n  ");
                text.push_str(path);
            }
            if more {
                text.push_str("\n  and by other paths");
            }
            return Ok(result(kind, true, paths, None, text));
        }
        let cycle = cycle(picture, node)?;
        let text = match &cycle {
            Some(cycle) => format!("{label}: only a cycle keeps it: {cycle}"),
            None => format!("{label}: nothing but this call holds it"),
        };
        Ok(result(kind, false, paths, cycle, text))
    }
}

fn result(
    kind: String,
    alive: bool,
    paths: Vec<String>,
    cycle: Option<String>,
    text: String,
) -> Value {
    Value::Dict(vec![
        ("type", kind.into()),
        ("alive", alive.into()),
        ("paths", paths.into()),
        ("cycle", cycle.into()),
        ("text", text.into()),
    ])
}

/// The shortest path by each of the nearest holders, and whether there are more.
unsafe fn paths(
    picture: &Picture,
    node: Node,
    limit: usize,
) -> Result<(Vec<String>, bool), Failure> {
    let object = picture.object(node);
    // SAFETY: called by `look`.
    unsafe {
        let words = Words::new(picture);
        let mut shown = Vec::new();
        if words.is_module(object) {
            shown.push(format!("sys.modules['{}']", names::module(object)));
        }
        for reference in words.held_by_frames(object) {
            let text = words.reference(reference);
            if !shown.contains(&text) {
                shown.push(text);
            }
        }
        let mut more = false;
        let mut holders = Vec::new();
        let room = limit.saturating_sub(shown.len());
        let found = picture.paths_until(Some(node), |source, target| {
            if target == node && holders.last() != Some(&source) {
                holders.push(source);
            }
            holders.len() > room
        })?;
        for holder in holders {
            if shown.len() >= limit {
                more = true;
                break;
            }
            let mut path = found.to(holder)?;
            path.push(node);
            shown.push(words.path(&path, None));
        }
        if let Some(count) = picture.from_c.get(&node) {
            let plural = if *count == 1 { "" } else { "s" };
            shown.push(format!("C code ({count} reference{plural})"));
        }
        Ok((shown, more))
    }
}

/// The cycle that an unreachable object is in, or by which it is held.
unsafe fn cycle(picture: &Picture, node: Node) -> Result<Option<String>, Failure> {
    let mut held = vec![node];
    // SAFETY: called by `look`.
    unsafe {
        let words = Words::new(picture);
        while held.len() <= CLIMB {
            let here = held[held.len() - 1];
            let cycle = shortest_cycle(picture, here, |_| true)?;
            if !cycle.is_empty() {
                let mut text = words.cycle(&cycle);
                // From an object rather than from its `__dict__`.
                if let Some(&owner) = cycle.last()
                    && edge::namespace(picture.object(owner)) == picture.object(here)
                {
                    held.push(owner);
                }
                if held.len() > 1 && here != node {
                    let objects: Vec<_> = held
                        .iter()
                        .rev()
                        .map(|node| picture.object(*node))
                        .collect();
                    text = format!("{text}, which leads to it: {}", words.chain(&objects));
                }
                return Ok(Some(text));
            }
            let sources = picture.sources(&HashSet::from([here]));
            let above = sources.get(&here).into_iter().flatten();
            match above.copied().find(|source| !held.contains(source)) {
                Some(source) => held.push(source),
                None => break,
            }
        }
    }
    Ok(None)
}

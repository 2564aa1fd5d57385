//! `wrasse.explain(obj)`: who holds each reference to an object.

use std::collections::{BTreeMap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::Node;
use wrasse_report::units;

use super::answer::Value;
use super::path::Words;
use super::referents::{is_eternal, referents};
use super::stack::Place;
use super::{Failure, Picture, edge, look_at, names};

/// `_core.explain(obj, limit)`.
pub unsafe extern "C" fn explain(
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

/// Somebody who holds references.
struct Holder {
    kind: &'static str,
    text: String,
    count: u64,
    more: Vec<(&'static str, Value)>,
}

unsafe fn answer(
    picture: &mut Picture,
    object: *mut PyObject,
    node: Node,
    limit: usize,
) -> Result<Value, Failure> {
    // SAFETY: called by `look`.
    unsafe {
        let size = picture.kinds.size(object)?;
        let stack = &picture.stack;
        let own = stack.references.iter().filter(|reference| {
            reference.target == object && stack.frames[reference.frame as usize].is_own
        });
        let references = (Py_REFCNT(object) as u64).saturating_sub(own.count() as u64);
        let eternal = is_eternal(object);
        let mut holders = Vec::new();
        let mut left = BTreeMap::new();
        if !eternal {
            holders.extend(from_frames(picture, object));
            from_objects(picture, node, limit, &mut holders, &mut left);
        }
        let from_c = picture.from_c.get(&node).copied().unwrap_or(0);
        let kind = names::full_type(object);
        let label = names::label(object);
        let text = text(&label, size, references, eternal, &holders, &left, from_c);
        let holders: Vec<Value> = holders
            .into_iter()
            .map(|holder| {
                let mut fields = vec![
                    ("kind", Value::from(holder.kind.to_string())),
                    ("text", holder.text.into()),
                    ("references", holder.count.into()),
                ];
                fields.extend(holder.more);
                Value::Dict(fields)
            })
            .collect();
        let others: Vec<Value> = left
            .into_iter()
            .map(|(kind, count)| {
                Value::Dict(vec![("type", kind.into()), ("objects", count.into())])
            })
            .collect();
        Ok(Value::Dict(vec![
            ("type", kind.into()),
            ("size", size.into()),
            ("references", references.into()),
            ("immortal", eternal.into()),
            ("holders", holders.into()),
            ("others", others.into()),
            ("from_c", from_c.into()),
            ("text", text.into()),
        ]))
    }
}

unsafe fn from_frames(picture: &Picture, object: *mut PyObject) -> Vec<Holder> {
    // SAFETY: called by `look`.
    unsafe {
        let words = Words::new(picture);
        let mut holders: Vec<Holder> = Vec::new();
        for reference in words.held_by_frames(object) {
            let frame = &picture.stack.frames[reference.frame as usize];
            let (function, file, line) = names::place(frame);
            let (kind, name) = match reference.place {
                Place::Variable(number) => {
                    ("local", Value::from(names::variable(frame.code, number)))
                }
                Place::Namespace => ("namespace", Value::None),
                Place::Temporary => ("call", Value::None),
                Place::Frame => ("frame", Value::None),
            };
            let text = words.reference(reference);
            if let Some(same) = holders.iter_mut().find(|holder| holder.text == text) {
                same.count += 1;
                continue;
            }
            holders.push(Holder {
                kind,
                text,
                count: 1,
                more: vec![
                    ("name", name),
                    ("function", function.into()),
                    ("file", file.into()),
                    ("line", u64::from(line).into()),
                ],
            });
        }
        holders
    }
}

unsafe fn from_objects(
    picture: &Picture,
    node: Node,
    limit: usize,
    holders: &mut Vec<Holder>,
    left: &mut BTreeMap<String, u64>,
) {
    let object = picture.object(node);
    let mut sources = picture.sources(&HashSet::from([node]));
    let mut all = sources.remove(&node).unwrap_or_default();
    // Variables come first, those that closures share, too.
    // SAFETY: called by `look`.
    all.sort_by_key(|holder| unsafe { Py_TYPE(picture.object(*holder)) } != &raw mut PyCell_Type);
    let (shown, others) = all.split_at(all.len().min(limit));
    // A dict may be the `__dict__` of something, a cell the variable of a
    // function: that says more than the dict and the cell.
    let above = |nodes: &HashSet<Node>, wanted: unsafe fn(*mut PyObject) -> bool| {
        let inner = nodes.iter().copied();
        // SAFETY: called by `look`.
        let inner = inner.filter(|inner| unsafe { wanted(picture.object(*inner)) });
        picture.sources(&inner.collect())
    };
    let shown_set: HashSet<Node> = shown.iter().copied().collect();
    // SAFETY: called by `look`.
    unsafe {
        let first = above(&shown_set, |object| {
            PyDict_CheckExact(object) != 0 || Py_TYPE(object) == &raw mut PyCell_Type
        });
        let second = above(&first.values().flatten().copied().collect(), |object| {
            PyTuple_CheckExact(object) != 0
        });
        let words = Words::new(picture);
        for &holder in shown {
            let holder_object = picture.object(holder);
            if is_running(picture, holder_object) {
                // Its variables are among those of the frames.
                continue;
            }
            let mut count = 0;
            referents(holder_object, &mut |target| {
                count += u64::from(target == object)
            });
            let is_cell = Py_TYPE(holder_object) == &raw mut PyCell_Type;
            if is_cell {
                // A variable that a closure shares is still a variable.
                let mut locals = from_frames(picture, holder_object);
                locals.retain(|local| local.kind == "local");
                if !locals.is_empty() {
                    locals.truncate(1);
                    holders.append(&mut locals);
                    continue;
                }
            }
            let mut chain = vec![holder_object, object];
            for &owner in first.get(&holder).into_iter().flatten() {
                let owner_object = picture.object(owner);
                if is_cell {
                    let functions = second.get(&owner).into_iter().flatten();
                    let mut functions = functions.map(|node| picture.object(*node));
                    if let Some(function) = functions.find(|each| PyFunction_Check(*each) != 0) {
                        chain.splice(0..0, [function, owner_object]);
                        break;
                    }
                } else if edge::namespace(owner_object) == holder_object {
                    chain.insert(0, owner_object);
                    break;
                }
            }
            let (kind, name) = match edge::access(holder_object, object) {
                _ if is_cell => ("closure", Value::None),
                edge::Access::Attribute(name) => ("attribute", name.into()),
                edge::Access::Item(_) if chain.len() > 2 => ("attribute", Value::None),
                edge::Access::Item(item) => ("item", item.into()),
                edge::Access::Words(_) => ("object", Value::None),
            };
            holders.push(Holder {
                kind,
                text: words.chain(&chain),
                count,
                more: vec![("name", name), ("type", names::full_type(chain[0]).into())],
            });
        }
        for &other in others {
            *left
                .entry(names::full_type(picture.object(other)))
                .or_default() += 1;
        }
    }
}

/// Whether an object is a generator whose frame is running.
unsafe fn is_running(picture: &Picture, object: *mut PyObject) -> bool {
    // SAFETY: called by `look`.
    let frame = unsafe { edge::suspended(object) };
    let mut frames = picture.stack.frames.iter();
    !frame.is_null() && frames.any(|running| running.address == frame)
}

fn text(
    kind: &str,
    size: u64,
    references: u64,
    eternal: bool,
    holders: &[Holder],
    left: &BTreeMap<String, u64>,
    from_c: u64,
) -> String {
    let mut lines = Vec::new();
    if eternal {
        lines.push(format!(
            "{kind}, {}: immortal, it lives as long as the process",
            units::size(size)
        ));
        return lines.join("\n");
    }
    let plural = if references == 1 { "" } else { "s" };
    let shown = units::count(references);
    lines.push(format!(
        "{kind}, {}, {shown} reference{plural}",
        units::size(size)
    ));
    for holder in holders {
        let times = match holder.count {
            1 => String::new(),
            count => format!(" ({} times)", units::count(count)),
        };
        lines.push(format!("  {}{times}", holder.text));
    }
    for (kind, count) in left {
        lines.push(format!("  {} more {kind}", units::count(*count)));
    }
    if from_c > 0 {
        let plural = if from_c == 1 { "" } else { "s" };
        lines.push(format!(
            "  C code: {} reference{plural} that no object and no variable holds",
            units::count(from_c)
        ));
    }
    if lines.len() == 1 {
        lines.push("  nothing but this call holds it".into());
    }
    lines.join("\n")
}

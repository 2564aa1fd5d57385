//! `wrasse.heap()`: types, retained sizes, the largest objects, cycles.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::{Dominators, Node};
use wrasse_report::units;

use super::answer::Value;
use super::path::Words;
use super::sizes::Kind;
use super::{Failure, Picture, cycles, edge, look, names};
use crate::census;

/// Rows of the table as text.
const ROWS: usize = 20;

/// `_core.heap(limit)`: details for at most `limit` objects and cycles.
pub unsafe extern "C" fn heap(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: CPython's calling convention for METH_FASTCALL.
    unsafe {
        if count != 1 {
            PyErr_SetString(PyExc_TypeError, c"one argument is expected".as_ptr());
            return std::ptr::null_mut();
        }
        let Some(limit) = super::limit(*arguments) else {
            return std::ptr::null_mut();
        };
        look(arguments.add(1), |picture| answer(picture, limit))
    }
}

/// The objects of one type.
pub struct Row {
    /// The type's full name.
    pub name: String,
    /// How many.
    pub objects: u64,
    /// Their own bytes.
    pub shallow: u64,
    /// The bytes that would go with them.
    pub retained: u64,
}

/// An object that is worth a line of its own.
struct Large {
    retained: u64,
    /// Its node, or the one that it is part of.
    node: Node,
    /// The object, where it is only a part.
    part: Option<*mut PyObject>,
}

struct Found {
    rows: Vec<Row>,
    modules: Vec<(String, u64)>,
    large: Vec<Large>,
    unreachable: (u64, u64),
}

unsafe fn answer(picture: &mut Picture, limit: usize) -> Result<Value, Failure> {
    // SAFETY: called by `look`.
    unsafe {
        let mut roots = picture.named.clone();
        roots.extend_from_slice(&picture.unnamed);
        roots.extend(picture.held_from_c());
        roots.extend_from_slice(&picture.eternal);
        picture.graph.set_roots(roots);
        let found = retained(picture, limit)?;
        picture.graph.set_roots(Vec::new());
        let paths = picture.paths(None)?;
        let shapes = cycles::find(picture, &paths, limit)?;
        let objects = picture
            .kinds
            .all()
            .iter()
            .map(|kind| kind.objects)
            .sum::<u64>();
        let bytes = picture
            .kinds
            .all()
            .iter()
            .map(|kind| kind.bytes)
            .sum::<u64>();

        let mut large = Vec::new();
        for each in &found.large {
            let object = each.part.unwrap_or_else(|| picture.object(each.node));
            let size = picture.kinds.size(object)?;
            let path = paths.to(each.node)?;
            let words = Words::new(picture);
            let path = if path.is_empty() {
                Value::None
            } else {
                words.path(&path, each.part).into()
            };
            large.push(Value::Dict(vec![
                ("type", names::full_type(object).into()),
                ("shallow", size.into()),
                ("retained", each.retained.into()),
                ("path", path),
            ]));
        }
        let words = Words::new(picture);
        let mut cycle_values = Vec::new();
        for shape in shapes {
            cycle_values.push(Value::Dict(vec![
                ("path", words.cycle(&shape.example).into()),
                ("cycles", shape.cycles.into()),
                ("objects", shape.objects.into()),
                ("bytes", shape.bytes.into()),
                ("unreachable", shape.unreachable.into()),
            ]));
        }
        let text = text(objects, bytes, &found);
        let rows: Vec<Value> = found
            .rows
            .into_iter()
            .map(|row| {
                Value::Dict(vec![
                    ("type", row.name.into()),
                    ("objects", row.objects.into()),
                    ("shallow", row.shallow.into()),
                    ("retained", row.retained.into()),
                ])
            })
            .collect();
        let modules: Vec<Value> = found
            .modules
            .into_iter()
            .map(|(name, retained)| {
                Value::Dict(vec![("module", name.into()), ("retained", retained.into())])
            })
            .collect();
        Ok(Value::Dict(vec![
            ("objects", objects.into()),
            ("bytes", bytes.into()),
            ("unreachable_objects", found.unreachable.0.into()),
            ("unreachable_bytes", found.unreachable.1.into()),
            ("types", rows.into()),
            ("modules", modules.into()),
            ("biggest", large.into()),
            ("cycles", cycle_values.into()),
            ("text", text.into()),
        ]))
    }
}

unsafe fn retained(picture: &Picture, limit: usize) -> Result<Found, Failure> {
    // SAFETY: called by `look`.
    unsafe {
        let graph = &picture.graph;
        let tree = Dominators::of(graph)?;
        let retained = tree.retained(graph)?;
        let kinds = picture.kinds.all();
        let by_kind = tree.retained_by_kind(graph, &retained, kinds.len())?;
        let rows = rows(kinds, by_kind);

        let mut namespaces = HashSet::new();
        let mut modules = Vec::new();
        let places = tree.places()?;
        names::each_module(|module| {
            let nodes = (picture.node(PyModule_GetDict(module)), picture.node(module));
            if let (Some(dict), Some(node)) = nodes
                && namespaces.insert(dict)
            {
                namespaces.insert(node);
                let bytes = retained[places[dict as usize] as usize];
                modules.push((names::module(module), bytes));
            }
        });
        drop(places);
        modules.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));

        let first = tree.first_unreached();
        let mut unreachable = (0, 0);
        // More than are asked for: some of them are no more than a part of the next.
        let room = limit.saturating_mul(2).saturating_add(16).min(tree.len());
        let mut top = BinaryHeap::new();
        for (place, &bytes) in retained.iter().enumerate().skip(1) {
            let node = tree.node(place);
            if place >= first {
                unreachable.0 += 1;
                unreachable.1 += graph.size(node);
            }
            if top.len() < room {
                top.push(Reverse((bytes, place)));
            } else if top.peek().is_some_and(|Reverse((least, _))| bytes > *least) {
                top.pop();
                top.push(Reverse((bytes, place)));
            }
        }
        let mut large = Vec::new();
        for Reverse((bytes, place)) in top {
            let node = tree.node(place);
            let object = picture.object(node);
            let above = tree.dominator(place);
            let is_namespace = above != 0
                && PyDict_CheckExact(object) != 0
                && edge::namespace(picture.object(tree.node(above))) == object;
            if !namespaces.contains(&node) && !is_namespace {
                large.push(Large {
                    retained: bytes,
                    node,
                    part: None,
                });
            }
        }
        large.extend(picture.leaves.iter().map(|leaf| Large {
            retained: leaf.size,
            node: leaf.holder,
            part: Some(leaf.address as *mut PyObject),
        }));
        large.sort_by_key(|each| (Reverse(each.retained), each.node));
        large.truncate(limit);
        Ok(Found {
            rows,
            modules,
            large,
            unreachable,
        })
    }
}

/// A row for each type that has objects, the most bytes first. `retained` is what
/// the nodes of each retain.
///
/// # Safety
/// Called while the picture stands.
pub unsafe fn rows(kinds: &[Kind], retained: Vec<u64>) -> Vec<Row> {
    let with_objects = kinds.iter().zip(retained);
    let mut rows: Vec<Row> = with_objects
        .filter(|(kind, _)| kind.objects > 0)
        .map(|(kind, retained)| Row {
            // SAFETY: types are alive with their objects.
            name: unsafe { census::name_of(kind.of) },
            objects: kind.objects,
            shallow: kind.bytes,
            retained: retained + kind.folded,
        })
        .collect();
    rows.sort_by(|a, b| b.shallow.cmp(&a.shallow).then_with(|| a.name.cmp(&b.name)));
    rows
}

fn text(objects: u64, bytes: u64, found: &Found) -> String {
    let mut text = format!("{} objects, {}", units::count(objects), units::size(bytes));
    if found.unreachable.0 > 0 {
        text.push_str(&format!(
            "; nothing reaches {}, which hold {}",
            units::count(found.unreachable.0),
            units::size(found.unreachable.1)
        ));
    }
    text.push_str(&format!(
        "\n{:>14} {:>12} {:>12}  type",
        "objects", "shallow", "retained"
    ));
    for row in found.rows.iter().take(ROWS) {
        text.push_str(&format!(
            "\n{:>14} {:>12} {:>12}  {}",
            units::count(row.objects),
            units::size(row.shallow),
            units::size(row.retained),
            row.name
        ));
    }
    if found.rows.len() > ROWS {
        let rest = &found.rows[ROWS..];
        let objects: u64 = rest.iter().map(|row| row.objects).sum();
        let bytes: u64 = rest.iter().map(|row| row.shallow).sum();
        text.push_str(&format!(
            "\n{:>14} {:>12} {:>12}  of {} other types",
            units::count(objects),
            units::size(bytes),
            "",
            rest.len()
        ));
    }
    text
}

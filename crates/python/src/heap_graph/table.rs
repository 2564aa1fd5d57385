//! `wrasse.heap()`: types, retained sizes, the largest objects, cycles.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::{Bits, Contraction, Dominators, Node, Paths, References, Retained, Survey};
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
    /// Who dominates the node; not known of what has one holder.
    above: Option<Option<Node>>,
}

struct Found {
    rows: Vec<Row>,
    modules: Vec<(String, u64)>,
    large: Vec<Large>,
    unreachable: (u64, u64),
}

unsafe fn answer(picture: &mut Picture, limit: usize) -> Result<Value, Failure> {
    // SAFETY: `look` holds the GIL, and nothing of Python runs until the picture is dropped.
    unsafe {
        let roots = picture.roots();
        let members = cycles::Belongs::new(picture)?;
        let belongs = |picture: &Picture, node| members.has(picture, node);
        let mut survey = Survey::of(picture, &roots, |node| belongs(picture, node))?;
        let mut found = retained(picture, &roots, &mut survey, limit)?;
        let paths = choose(picture, &mut found.large, limit)?;
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
        let words = Words::new(picture);
        let mut shown = Vec::new();
        for each in &found.large {
            let path = paths.to(each.node)?;
            shown.push(match path.is_empty() {
                true => Value::None,
                false => words.path(&path, each.part).into(),
            });
        }
        drop((words, paths));
        let shapes = cycles::find(
            picture,
            |node| survey.is_wild(node) && belongs(picture, node),
            |node| survey.is_reached(node),
            limit,
        )?;
        for (each, path) in found.large.iter().zip(shown) {
            let object = each.part.unwrap_or_else(|| picture.object(each.node));
            let size = picture.kinds.size(object)?;
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

unsafe fn retained(
    picture: &Picture,
    roots: &[Node],
    survey: &mut Survey,
    limit: usize,
) -> Result<Found, Failure> {
    // SAFETY: `look` holds the GIL, and nothing of Python runs until the picture is dropped.
    unsafe {
        let mut namespaces = HashMap::new();
        names::each_module(|module| {
            let nodes = (picture.node(PyModule_GetDict(module)), picture.node(module));
            if let (Some(dict), Some(node)) = nodes {
                survey.share(dict);
                survey.share(node);
                namespaces.entry(dict).or_insert((module, node));
            }
        });
        let small = Contraction::of(picture, roots, survey)?;
        let tree = Dominators::of(small.graph())?;
        let retained = tree.retained(small.graph())?;
        let places = tree.places()?;
        let mut modules = Vec::new();
        for (dict, (module, _)) in &namespaces {
            if let Some(node) = small.find(*dict) {
                let bytes = retained[places[node as usize] as usize];
                modules.push((names::module(*module), bytes));
            }
        }
        modules.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let kinds = picture.kinds.all();
        // More than are asked for: some of them are no more than a part of the next.
        let most = limit
            .saturating_mul(2)
            .saturating_add(16)
            .min(picture.len());
        let most = most.saturating_add(2 * namespaces.len());
        let found = Retained::of(picture, &small, &tree, &retained, kinds.len(), most)?;
        let rows = rows(kinds, found.by_kind);
        let is_module: HashSet<Node> = namespaces
            .iter()
            .flat_map(|(dict, (_, module))| [*dict, *module])
            .collect();
        let mut large = Vec::new();
        for (bytes, node) in found.largest {
            if is_module.contains(&node) {
                continue;
            }
            let above = small.find(node).map(|found| {
                let above = tree.dominator(places[found as usize] as usize);
                (above != 0).then(|| small.node(tree.node(above)))
            });
            large.push(Large {
                retained: bytes,
                node,
                part: None,
                above,
            });
        }
        large.extend(picture.leaves.iter().map(|leaf| Large {
            retained: leaf.size,
            node: leaf.holder,
            part: Some(leaf.address as *mut PyObject),
            above: Some(None),
        }));
        Ok(Found {
            rows,
            modules,
            large,
            unreachable: found.unreachable,
        })
    }
}

/// Leaves the `limit` largest, without namespaces that are no more than their owners'
/// attributes; returns the shortest paths that lead to them.
unsafe fn choose(
    picture: &Picture,
    large: &mut Vec<Large>,
    limit: usize,
) -> Result<Paths, Failure> {
    large.sort_by_key(|each| (Reverse(each.retained), each.node));
    // What is left out for being a namespace is the attribute of something that
    // retains as much.
    large.truncate(limit.saturating_mul(2).saturating_add(16));
    let mut wanted = Bits::new(picture.len())?;
    large.iter().for_each(|each| wanted.set(each.node));
    // A root may be found by a path that begins at one with a name, if anything refers to it.
    let is_alone = |node: Node| match picture.from_c.get(&node) {
        // SAFETY: nothing of Python runs while `answer` does: the picture's objects are alive.
        Some(count) => *count == unsafe { Py_REFCNT(picture.object(node)) } as u64,
        None => false,
    };
    let alone = large
        .iter()
        .map(|each| each.node)
        .filter(|node| is_alone(*node));
    let begin = picture.named.iter().chain(&picture.eternal).copied();
    begin.chain(alone).for_each(|root| wanted.unset(root));
    let mut left = wanted.count();
    let paths = picture.paths_until(None, |_, target| {
        if wanted.get(target) {
            wanted.unset(target);
            left -= 1;
        }
        left == 0
    })?;
    // Of what has one holder the path says who that is, unless nothing leads there.
    let is_lost = |each: &Large| each.above.is_none() && !paths.reaches(each.node);
    let lost: HashSet<Node> = large
        .iter()
        .filter(|each| is_lost(each))
        .map(|each| each.node)
        .collect();
    let sources = picture.sources(&lost);
    large.retain(|each| {
        let above = match each.above {
            Some(above) => above,
            None if lost.contains(&each.node) => {
                sources.get(&each.node).and_then(|all| all.first().copied())
            }
            None => paths.previous(each.node),
        };
        let object = picture.object(each.node);
        // SAFETY: nothing of Python runs while `answer` does: the picture's objects are alive.
        let is_namespace = unsafe {
            each.part.is_none()
                && PyDict_CheckExact(object) != 0
                && above.is_some_and(|above| edge::namespace(picture.object(above)) == object)
        };
        !is_namespace
    });
    large.truncate(limit);
    Ok(paths)
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

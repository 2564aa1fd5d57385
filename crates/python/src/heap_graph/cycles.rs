//! The cycles of the heap, one line for all that are alike.
//!
//! Every class is a cycle, and every function refers to the namespace that it
//! is in: types, modules and their namespaces are left out, or all the rest
//! would be one cycle through them.

use std::collections::{HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::{Exhausted, Node, Paths, components, shortest_cycle};

use super::{Failure, Picture, names};

/// Cycles of objects of the same types.
pub struct Shape {
    /// How many there are.
    pub cycles: u64,
    /// How many of them nothing reaches.
    pub unreachable: u64,
    /// Their objects.
    pub objects: u64,
    /// The objects' own bytes.
    pub bytes: u64,
    /// One of them: its shortest cycle.
    pub example: Vec<Node>,
}

/// The `limit` shapes with most bytes. `paths` are those from all roots.
///
/// # Safety
/// Called while the picture stands.
pub unsafe fn find(picture: &Picture, paths: &Paths, limit: usize) -> Result<Vec<Shape>, Failure> {
    let kinds = picture.kinds.all();
    let mut left_out = HashSet::new();
    // SAFETY: the caller's contract.
    unsafe {
        names::each_module(|module| {
            left_out.extend(picture.node(PyModule_GetDict(module)));
        });
    }
    let belongs_kind: Vec<bool> = kinds
        .iter()
        .map(|kind| {
            // SAFETY: types are alive with their objects.
            unsafe {
                PyType_IsSubtype(kind.of, &raw mut PyType_Type) == 0
                    && PyType_IsSubtype(kind.of, &raw mut PyModule_Type) == 0
            }
        })
        .collect();
    let belongs =
        |node: Node| belongs_kind[picture.graph.kind(node) as usize] && !left_out.contains(&node);
    let mut shapes: HashMap<Vec<(u32, u32)>, Shape> = HashMap::new();
    components(&picture.graph, belongs, |members| {
        let mut types: Vec<(u32, u32)> = Vec::new();
        let mut bytes = 0;
        for &member in members {
            let kind = picture.graph.kind(member);
            bytes += picture.graph.size(member);
            match types.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => types.push((kind, 1)),
            }
        }
        types.sort_unstable();
        shapes.try_reserve(1).map_err(|_| Exhausted)?;
        let shape = shapes.entry(types).or_insert_with(|| Shape {
            cycles: 0,
            unreachable: 0,
            objects: 0,
            bytes: 0,
            example: vec![members[0]],
        });
        shape.cycles += 1;
        shape.unreachable += u64::from(!paths.reaches(members[0]));
        shape.objects += members.len() as u64;
        shape.bytes += bytes;
        Ok(())
    })?;
    let mut shapes: Vec<Shape> = shapes.into_values().collect();
    shapes.sort_by_key(|shape| (std::cmp::Reverse(shape.bytes), shape.example[0]));
    shapes.truncate(limit);
    for shape in &mut shapes {
        shape.example = shortest_cycle(&picture.graph, shape.example[0], belongs)?;
    }
    Ok(shapes)
}

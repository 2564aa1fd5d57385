//! The cycles of the heap, one line for all that are alike.
//!
//! Every class is a cycle, and every function refers to the namespace that it
//! is in: types, modules and their namespaces are left out, or all the rest
//! would be one cycle through them.

use std::collections::HashMap;

use pyo3_ffi::*;
use wrasse_graph::{Bits, Exhausted, Node, References, Weighted, components, shortest_cycle};

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

/// Which objects' cycles are told of.
pub struct Belongs {
    namespaces: Bits,
}

impl Belongs {
    /// # Errors
    /// No memory.
    ///
    /// # Safety
    /// Called while the picture stands; so for [`has`](Self::has).
    pub unsafe fn new(picture: &Picture) -> Result<Self, Failure> {
        let mut namespaces = Bits::new(picture.len())?;
        // SAFETY: the caller's contract.
        unsafe {
            names::each_module(|module| {
                if let Some(node) = picture.node(PyModule_GetDict(module)) {
                    namespaces.set(node);
                }
            });
        }
        Ok(Self { namespaces })
    }

    /// Whether `node` is neither type nor module nor the namespace of one.
    pub fn has(&self, picture: &Picture, node: Node) -> bool {
        let object = picture.object(node);
        // SAFETY: `new`'s contract.
        unsafe {
            PyType_Check(object) == 0 && PyModule_Check(object) == 0 && !self.namespaces.get(node)
        }
    }
}

/// The `limit` shapes with most bytes, of nodes for which `belongs` is true. `is_reached`
/// says of a node whether a root leads there.
///
/// # Safety
/// Called while the picture stands.
pub unsafe fn find(
    picture: &Picture,
    belongs: impl Fn(Node) -> bool,
    is_reached: impl Fn(Node) -> bool,
    limit: usize,
) -> Result<Vec<Shape>, Failure> {
    let mut shapes: HashMap<Vec<(u32, u32)>, Shape> = HashMap::new();
    components(picture, &belongs, |members| {
        let mut types: Vec<(u32, u32)> = Vec::new();
        let mut bytes = 0;
        for &member in members {
            let (kind, size) = picture.weigh(member, |_| {});
            bytes += size;
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
        shape.unreachable += u64::from(!is_reached(members[0]));
        shape.objects += members.len() as u64;
        shape.bytes += bytes;
        Ok(())
    })?;
    let mut shapes: Vec<Shape> = shapes.into_values().collect();
    shapes.sort_by_key(|shape| (std::cmp::Reverse(shape.bytes), shape.example[0]));
    shapes.truncate(limit);
    for shape in &mut shapes {
        shape.example = shortest_cycle(picture, shape.example[0], &belongs)?;
    }
    Ok(shapes)
}

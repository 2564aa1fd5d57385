//! What exceptions that are kept keep with them, by the frames of their tracebacks.
//!
//! Where they are in something that the program had to its end, all of it becomes garbage
//! together, and by then nothing tells what was wanted from what only the frames held.
//! This does: of frames of one function all but one have returned. What several of them
//! refer to was handed to each, and was there before; so was what a single frame has,
//! which may have been running to the end. The rest was only held by tracebacks.

use std::collections::{HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::Node;

use super::garbage::Part;

/// The bytes of `nodes` that only tracebacks hold.
///
/// # Safety
/// The GIL is held and `part` stands.
pub unsafe fn held_by_tracebacks(part: &Part, nodes: &[Node]) -> u64 {
    let is = |node: Node, kind: *mut PyTypeObject| {
        // SAFETY: garbage is alive.
        unsafe { Py_TYPE(part.objects[node as usize]) == kind }
    };
    let mut frames: HashMap<usize, Vec<Node>> = HashMap::new();
    for &node in nodes {
        if is(node, &raw mut PyFrame_Type) {
            // SAFETY: a live frame, which has a code object and keeps it.
            let code = unsafe {
                let code = PyFrame_GetCode(part.objects[node as usize].cast());
                Py_DECREF(code.cast());
                code as usize
            };
            frames.entry(code).or_default().push(node);
        }
    }
    let mut wanted: Vec<Node> = Vec::new();
    for alike in frames.values() {
        if let [alone] = alike.as_slice() {
            wanted.push(*alone);
            continue;
        }
        let mut once: HashSet<Node> = HashSet::new();
        for &frame in alike {
            let targets: HashSet<Node> = part.graph.targets(frame).iter().copied().collect();
            let is_caller = |target: &Node| is(*target, &raw mut PyFrame_Type);
            let handed = targets.into_iter().filter(|target| !is_caller(target));
            let shared = handed.filter(|target| !once.insert(*target));
            wanted.extend(shared);
        }
    }
    wanted.retain(|node| !is(*node, &raw mut PyTraceBack_Type));
    let mut left: HashSet<Node> = nodes.iter().copied().collect();
    while let Some(node) = wanted.pop() {
        if left.remove(&node) {
            let targets = part.graph.targets(node).iter().copied();
            wanted.extend(targets.filter(|target| !is(*target, &raw mut PyTraceBack_Type)));
        }
    }
    left.into_iter().map(|node| part.graph.size(node)).sum()
}

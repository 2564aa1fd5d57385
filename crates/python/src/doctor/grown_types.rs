//! Which types' objects went on growing in number, whatever lines made them.
//!
//! How much of a traceback's memory was of which type is known at the end only. Its
//! part then stands for its part at each look before.

use std::collections::{HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_doctor::Observations;
use wrasse_doctor::observations::{TypeGrowth, TypeLine};
use wrasse_graph::{Node, Paths};
use wrasse_tracer::TracebackId;

use super::garbage::traceback_of;
use super::growth::Seen;
use super::holders::Way;
use super::lines;
use crate::census;
use crate::heap_graph::path::Words;
use crate::heap_graph::referents::referents;
use crate::heap_graph::{Exclusive, Failure, Picture};

/// Fewer objects, or smaller ones in all, are not told.
const FEWEST: usize = 100;
const SMALLEST: u64 = 256 << 10;
/// Types that are told, at most, and lines of one.
const MOST: usize = 10;
const MOST_LINES: usize = 100;
/// Objects of a type that are measured.
const SAMPLE: usize = 200;

/// All objects of one type.
#[derive(Default)]
struct Kind {
    objects: Vec<*mut PyObject>,
    /// Their own bytes, by traceback.
    made: HashMap<TracebackId, u64>,
    nearest: Option<Node>,
}

/// Finds them among the objects of a picture, to which `found` leads by paths of these
/// lengths.
///
/// # Errors
/// No memory, or a heap that cannot be read.
///
/// # Safety
/// The GIL is held since the picture was taken, and no exception is set.
pub unsafe fn find(
    picture: &Picture,
    found: &Paths,
    lengths: &[u32],
    observations: &mut Observations,
    seen: &Seen,
) -> Result<(), Failure> {
    let mut kinds: HashMap<*mut PyTypeObject, Kind> = HashMap::new();
    let mut told = Vec::new();
    // SAFETY: the caller's contract: all nodes are live objects.
    unsafe {
        let mut exclusive = Exclusive::new()?;
        for node in picture.graph.nodes() {
            let object = picture.object(node);
            let kind = Py_TYPE(object);
            if (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 || !found.reaches(node) {
                continue;
            }
            let Some(traceback) = traceback_of(object) else {
                continue;
            };
            let entry = kinds.entry(kind).or_default();
            entry.objects.push(object);
            *entry.made.entry(traceback).or_default() += picture.graph.size(node);
            let is_nearer = |known: Node| lengths[node as usize] < lengths[known as usize];
            if entry.nearest.is_none_or(is_nearer) {
                entry.nearest = Some(node);
            }
        }
        kinds.retain(|_, kind| kind.objects.len() >= FEWEST);
        let words = Words::new(picture);
        for (kind, all) in kinds {
            let bytes = measure(&all.objects, &mut exclusive);
            let (Some(nearest), true) = (all.nearest, bytes >= SMALLEST) else {
                continue;
            };
            let path = found.to(nearest)?;
            let way = Way::of(picture, &words, &path, observations);
            let mut growth = TypeGrowth {
                name: census::name_of(kind),
                count: all.objects.len() as u64,
                bytes: series(&all.made, bytes, seen),
                path: words.path(&path, None),
                container: way.container,
                holders: way.holders,
                is_global: way.is_global,
                ..TypeGrowth::default()
            };
            add_lines(&mut growth, &all.made, observations);
            told.push(growth);
        }
    }
    told.sort_by_key(|each| std::cmp::Reverse(each.bytes.last().copied()));
    told.truncate(MOST);
    observations.growth.types = told;
    Ok(())
}

/// The bytes of objects with all that only they hold.
unsafe fn measure(objects: &[*mut PyObject], exclusive: &mut Exclusive) -> u64 {
    let count = objects.len().min(SAMPLE);
    let mut bytes = 0;
    for number in 0..count {
        let object = objects[number * objects.len() / count];
        let mut parts = Vec::new();
        // SAFETY: live objects.
        unsafe {
            bytes += exclusive.own(object);
            referents(object, &mut |target| parts.push(target));
            for part in parts {
                bytes += exclusive.held(part);
            }
        }
    }
    bytes * objects.len() as u64 / count.max(1) as u64
}

/// What the objects came to at each look, if they come to `bytes` now.
fn series(made: &HashMap<TracebackId, u64>, bytes: u64, seen: &Seen) -> Vec<u64> {
    let mut sums: Vec<f64> = Vec::new();
    for (traceback, own) in made {
        let all = seen.series(*traceback);
        let last = all.last().copied().unwrap_or(0);
        if last == 0 {
            continue;
        }
        sums.resize(all.len(), 0.0);
        for (sum, each) in sums.iter_mut().zip(&all) {
            *sum += *each as f64 * *own as f64 / last as f64;
        }
    }
    let end = sums.last().copied().unwrap_or(0.0);
    let scale = if end > 0.0 { bytes as f64 / end } else { 0.0 };
    sums.into_iter().map(|sum| (sum * scale) as u64).collect()
}

/// The program's lines that make the objects, and the functions that ran there.
fn add_lines(
    growth: &mut TypeGrowth,
    made: &HashMap<TracebackId, u64>,
    observations: &Observations,
) {
    let mut by_line: HashMap<_, TypeLine> = HashMap::new();
    let mut functions = HashSet::new();
    for (traceback, bytes) in made {
        let frames = lines::of_traceback(*traceback);
        let names = lines::functions_of(*traceback);
        let Some(own) = observations.own_line(&frames) else {
            continue;
        };
        let at = frames.iter().position(|line| line == own).unwrap_or(0);
        let entry = by_line.entry(own.clone()).or_default();
        entry.line = own.clone();
        entry.function = names.get(at).cloned().unwrap_or_default();
        entry.bytes += bytes;
        functions.extend(names.into_iter().skip(at));
    }
    growth.lines = by_line.into_values().collect();
    growth
        .lines
        .sort_by(|a, b| (b.bytes, &a.line).cmp(&(a.bytes, &b.line)));
    growth.lines.truncate(MOST_LINES);
    growth.functions = functions.into_iter().collect();
    growth.functions.sort_unstable();
}

//! What only the variables of running functions hold, at looks while the program runs.
//!
//! A program whose `main()` runs to the end has its memory there, and when it has ended
//! all of that is gone. So each look remembers, for the tracebacks with most memory that
//! no module leads to, by which variable an object of theirs is held; how much they had,
//! and until when, the profile's totals say.

use std::collections::{HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_doctor::Observations;
use wrasse_doctor::observations::{Line, LineGrowth, Variable};
use wrasse_graph::{Bits, Node, Paths, filled};
use wrasse_tracer::{Amount, TracebackId, View};

use super::garbage::traceback_of;
use super::growth::Seen;
use super::held::{Owners, length, number};
use super::holders::{MANY, Way, is_container};
use super::lines;
use super::unseen::AtLook;
use crate::heap_graph::path::Words;
use crate::heap_graph::referents::referents;
use crate::heap_graph::stack::Place;
use crate::heap_graph::{Failure, Picture, names};
use crate::{census, hooks};

/// Tracebacks with less are not looked for, nor more than so many.
const SMALLEST: u64 = 64 << 10;
const MOST: usize = 40;
/// Objects whose traceback is looked up, and so many of those that one container holds.
const SAMPLE: usize = 10_000;
const SAMPLE_OF_ONE: usize = 50;
/// Lines that are told, at most.
const MOST_LINES: usize = 10;
/// What a module holds at the end in as large a part is told by that.
const STAYS: f64 = 0.5;
/// How paths to an exception begin that nobody has handled.
const LAST: &str = "sys.last_";

/// How objects of one traceback are held.
#[derive(Clone)]
pub struct Held {
    variable: Variable,
    path: String,
    container: String,
    container_type: String,
    holders: Vec<String>,
    type_name: String,
}

/// A variable of a running function.
struct Root {
    frame: usize,
    slot: u32,
}

/// An object of a traceback, and who holds it.
struct Sample {
    object: *mut PyObject,
    holder: Node,
}

/// Finds what only variables of the program's functions hold, by tracebacks.
///
/// # Errors
/// No memory.
///
/// # Safety
/// The GIL is held since the picture was taken, and no exception is set.
pub unsafe fn find(
    picture: &Picture,
    owners: &Owners,
) -> Result<HashMap<TracebackId, Held>, Failure> {
    // SAFETY: the caller's contract; so for what is called here.
    unsafe {
        // What libraries' modules hold they let go of when it is over: tasks, threads. If
        // they do not, it is there at the end.
        let own: Vec<Node> = owners
            .modules
            .keys()
            .filter_map(|dict| picture.node(*dict))
            .collect();
        let mut others = HashSet::new();
        names::each_module(|module| {
            let dict = PyModule_GetDict(module);
            if !owners.modules.contains_key(&dict) {
                others.extend(picture.node(dict));
            }
        });
        let (variables, roots) = variables(picture, owners, &others);
        if variables.is_empty() {
            return Ok(HashMap::new());
        }
        let groups: Vec<&[Node]> = [&own]
            .into_iter()
            .chain(&variables)
            .map(Vec::as_slice)
            .collect();
        let found = Paths::around(&picture.graph, &groups, |node| others.contains(&node))?;
        let nodes = below(picture, &found, &roots)?;
        let samples = samples(picture, &found, &nodes)?;
        let live = AtLook::now();
        let mut largest: Vec<(u64, TracebackId, Sample)> = samples
            .into_iter()
            .map(|(id, sample)| (live.of(id), id, sample))
            .filter(|(bytes, ..)| *bytes >= SMALLEST)
            .collect();
        largest.sort_by_key(|(bytes, id, _)| (std::cmp::Reverse(*bytes), id.0));
        largest.truncate(MOST);
        let words = Words::new(picture);
        let mut all = HashMap::new();
        for (_, id, sample) in largest {
            if let Some(held) = held(picture, owners, &words, &found, &roots, &sample)? {
                all.insert(id, held);
            }
        }
        Ok(all)
    }
}

/// What the variables of each of the program's functions that run refer to, outermost
/// functions first, and by which variable. That one refers to the namespace of a module,
/// of the program's or of the `others`, says nothing: the module has it.
unsafe fn variables(
    picture: &Picture,
    owners: &Owners,
    others: &HashSet<Node>,
) -> (Vec<Vec<Node>>, HashMap<Node, Root>) {
    let mut variables: Vec<Vec<Node>> = Vec::new();
    let mut roots = HashMap::new();
    let stack = &picture.stack;
    // SAFETY: frames stand still, what they refer to is alive.
    unsafe {
        let mut of_frames: Vec<Vec<(u32, Node)>> = Vec::new();
        of_frames.resize_with(stack.frames.len(), Vec::new);
        for reference in &stack.references {
            if let (Place::Variable(slot), Some(node)) =
                (reference.place, picture.node(reference.target))
                && !owners.modules.contains_key(&reference.target)
                && !others.contains(&node)
            {
                of_frames[reference.frame as usize].push((slot, node));
            }
        }
        for (number, all) in of_frames.into_iter().enumerate().rev() {
            let (function, file, _) = names::place(&stack.frames[number]);
            if !owners.is_own(&file) || function == "<module>" {
                continue;
            }
            let mut group = Vec::new();
            for (slot, node) in all {
                roots.entry(node).or_insert(Root {
                    frame: number,
                    slot,
                });
                group.push(node);
            }
            variables.push(group);
        }
    }
    (variables, roots)
}

/// The nodes to which only variables lead. What a traceback keeps is W104's matter.
fn below(
    picture: &Picture,
    found: &Paths,
    roots: &HashMap<Node, Root>,
) -> Result<Vec<Node>, Failure> {
    let mut is_below = Bits::new(picture.graph.len())?;
    let mut nodes = Vec::new();
    // Who comes before a node was reached before it.
    for &node in found.order() {
        let is = match found.previous(node) {
            // A module may be a variable's value, too.
            Some(previous) if previous == node => {
                // SAFETY: the picture's objects are alive.
                let is_module = unsafe { PyModule_Check(picture.object(node)) != 0 };
                roots.contains_key(&node) && !is_module
            }
            Some(previous) => {
                // SAFETY: as above.
                let keeps_frames = unsafe { PyTraceBack_Check(picture.object(previous)) != 0 };
                is_below.get(previous) && !keeps_frames
            }
            None => false,
        };
        if is {
            is_below.set(node);
            nodes.try_reserve(1).map_err(|_| Failure::Memory)?;
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// Of each traceback the sample that is nearest to a variable, among those in the
/// container that has most of them. A container counts if it has many items, and only the
/// outermost of those on a path.
unsafe fn samples(
    picture: &Picture,
    found: &Paths,
    nodes: &[Node],
) -> Result<HashMap<TracebackId, Sample>, Failure> {
    let lengths = found.lengths()?;
    let mut piles: HashMap<(TracebackId, Node), (usize, Sample)> = HashMap::new();
    // `pile` has the object, which stands for `weight` others.
    let mut look_up = |object: *mut PyObject, holder: Node, pile: Node, weight: usize| {
        // SAFETY: the picture's objects are alive.
        let Some(id) = (unsafe { traceback_of(object) }) else {
            return;
        };
        let new = || (0, Sample { object, holder });
        let (count, nearest) = piles.entry((id, pile)).or_insert_with(new);
        *count += weight;
        if lengths[holder as usize] < lengths[nearest.holder as usize] {
            *nearest = Sample { object, holder };
        }
    };
    let mut pile_of = filled(picture.graph.len(), Node::MAX)?;
    let step = nodes.len() / SAMPLE + 1;
    for (place, &node) in nodes.iter().enumerate() {
        let object = picture.object(node);
        let previous = found.previous(node).filter(|previous| *previous != node);
        let above = previous.filter(|previous| pile_of[*previous as usize] != Node::MAX);
        // SAFETY: as above.
        unsafe {
            let count = length(object) as usize;
            let is_large = count >= MANY as usize && is_container(object);
            let pile = match above {
                Some(above) => pile_of[above as usize],
                None if is_large => node,
                None => continue,
            };
            pile_of[node as usize] = pile;
            let is_chosen = place % step == 0;
            if let Some(above) = above.filter(|_| is_chosen) {
                look_up(object, above, pile, step);
            }
            // What is part of it is no node. Of a large one, some from all over it.
            let (each, weight) = match is_large {
                true => (count / SAMPLE_OF_ONE + 1, count / SAMPLE_OF_ONE + 1),
                false if is_chosen => (1, step),
                false => continue,
            };
            let mut seen = 0;
            referents(object, &mut |target| {
                seen += 1;
                if seen % each == 0 && Py_REFCNT(target) == 1 && picture.node(target).is_none() {
                    look_up(target, node, pile, weight);
                }
            });
        }
    }
    let mut samples: HashMap<TracebackId, (usize, Node, Sample)> = HashMap::new();
    for ((id, pile), (count, sample)) in piles {
        let known = samples.get(&id).map(|(count, pile, _)| (*count, *pile));
        if known.is_none_or(|known| (count, pile) > known) {
            samples.insert(id, (count, pile, sample));
        }
    }
    let all = samples.into_iter();
    Ok(all.map(|(id, (_, _, sample))| (id, sample)).collect())
}

/// How a sample is held, in words.
unsafe fn held(
    picture: &Picture,
    owners: &Owners,
    words: &Words<'_>,
    found: &Paths,
    roots: &HashMap<Node, Root>,
    sample: &Sample,
) -> Result<Option<Held>, Failure> {
    let path = found.to(sample.holder)?;
    let Some(root) = path.first() else {
        return Ok(None);
    };
    let root_object = picture.object(*root);
    let root = &roots[root];
    let frame = &picture.stack.frames[root.frame];
    // SAFETY: the picture's objects are alive, frames stand still.
    unsafe {
        let (function, file, _) = names::place(frame);
        let mut variable = Variable {
            name: names::variable(frame.code, root.slot),
            function,
            file,
            first_line: number(frame.code, c"co_firstlineno") as u32,
            is_container: false,
        };
        let way = Way::of(picture, words, &path, owners.places());
        let Some(large) = way.large else {
            return Ok(None);
        };
        variable.is_container = large == root_object;
        let begin = variable.in_words();
        let known = words.root(path[0]);
        let named = |path: String| match path.strip_prefix(&known) {
            Some(rest) => format!("{begin}{rest}"),
            None => path,
        };
        let container = match variable.is_container {
            true => begin.clone(),
            false => named(way.container),
        };
        Ok(Some(Held {
            path: named(words.path(&path, Some(sample.object))),
            container,
            container_type: names::short(Py_TYPE(large)),
            holders: way.holders,
            type_name: census::name_of(Py_TYPE(sample.object)),
            variable,
        }))
    }
}

/// Adds the lines whose memory was held so, and is not held by others at the end. What
/// they had is told up to the moment at which they had most.
pub fn add(observations: &mut Observations, all: &HashMap<TracebackId, Held>, seen: &Seen) {
    let mut behind: HashMap<Line, Vec<TracebackId>> = HashMap::new();
    let mut held: HashMap<Line, Vec<TracebackId>> = HashMap::new();
    if all.is_empty() {
        return;
    }
    for id in seen.tracebacks() {
        let frames = lines::of_traceback(id);
        if let Some(own) = observations.own_line(&frames) {
            if all.contains_key(&id) {
                held.entry(own.clone()).or_default().push(id);
            }
            behind.entry(own.clone()).or_default().push(id);
        }
    }
    let mut peak: Vec<Amount> = Vec::new();
    if let Some(state) = hooks::state().as_ref() {
        // Without memory for it nothing is known of the peak.
        let _ = state.tracer.peak(View::Profile, &mut peak);
    }
    let mut found: Vec<LineGrowth> = Vec::new();
    for (line, ids) in held {
        let mut course: Vec<(u64, u64)> = Vec::new();
        for id in &behind[&line] {
            let each = seen.course(*id);
            course.resize(each.len(), (0, 0));
            for (sum, (bytes, blocks)) in course.iter_mut().zip(each) {
                *sum = (sum.0 + bytes, sum.1 + blocks);
            }
        }
        let most = course.iter().map(|each| each.0).max().unwrap_or(0);
        let Some(until) = course.iter().position(|each| each.0 == most) else {
            continue;
        };
        let end = course.last().map_or(0, |each| each.0);
        let own = |growth: &LineGrowth| observations.own_line(&growth.frames) == Some(&line);
        let known = observations.growth.lines.iter().position(own);
        // Of a program that an exception has ended `sys` keeps the last frames.
        let is_last = known.is_some_and(|at| observations.growth.lines[at].path.starts_with(LAST));
        match known {
            Some(at) if is_last => _ = observations.growth.lines.remove(at),
            _ if end as f64 >= STAYS * most as f64 => continue,
            _ => {}
        }
        course.truncate(until + 1);
        // The run's peak may have come after that look, and is known exactly.
        let mut at_peak = (0, 0);
        for id in &behind[&line] {
            let amount = peak.get(id.0 as usize).copied().unwrap_or_default();
            at_peak = (at_peak.0 + amount.bytes, at_peak.1 + amount.blocks);
        }
        course[until] = course[until].max(at_peak);
        let at = |id: &TracebackId| seen.series(*id).get(until).copied().unwrap_or(0);
        let Some(largest) = ids.iter().copied().max_by_key(|id| (at(id), id.0)) else {
            continue;
        };
        let held = &all[&largest];
        let (bytes, blocks): (Vec<u64>, Vec<u64>) = course.into_iter().unzip();
        found.push(LineGrowth {
            frames: lines::of_traceback(largest),
            functions: lines::functions_of(largest),
            bytes,
            blocks,
            path: held.path.clone(),
            container: held.container.clone(),
            container_type: held.container_type.clone(),
            holders: held.holders.clone(),
            is_global: false,
            variable: Some(held.variable.clone()),
            types: vec![(held.type_name.clone(), 0)],
        });
    }
    found.sort_by_key(|each| std::cmp::Reverse(each.bytes.last().copied()));
    found.truncate(MOST_LINES);
    observations.growth.lines.extend(found);
}

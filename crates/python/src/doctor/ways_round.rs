//! Which references besides one have to be weak for nothing of a set of circles to be
//! left.

use std::collections::HashSet;

use pyo3_ffi::*;
use wrasse_doctor::observations::Cycles;
use wrasse_doctor::weakest;
use wrasse_graph::{Builder, Graph, Node, components, shortest_cycle};

use super::garbage::Part;
use super::shapes::{put_into_words, shown};
use crate::heap_graph::Failure;
use crate::heap_graph::names;

/// Larger sets of circles are not gone round again.
const LARGEST: usize = 20_000;
/// References that are named besides the first.
const MOST: usize = 3;

/// The types of who holds a reference, and of whom.
type Kinds = (usize, usize);

/// Names them, in `cycles`, which has the shortest circle in words; its objects are
/// `objects`, all that are in circles with them `members`. References between two types
/// are taken for one: where there are several, too little is said rather than too much.
///
/// # Errors
/// No memory.
///
/// # Safety
/// The GIL is held and `part` stands.
pub unsafe fn find(
    part: &Part,
    members: &[Node],
    objects: &[*mut PyObject],
    cycles: &mut Cycles,
) -> Result<(), Failure> {
    if members.len() > LARGEST || weakest(cycles).is_none() {
        return Ok(());
    }
    let mut members = members.to_vec();
    members.sort_unstable();
    let mut weak: HashSet<Kinds> = HashSet::new();
    let (mut circle, mut words) = (objects.to_vec(), cycles.clone());
    // SAFETY: garbage is alive and stands still.
    unsafe {
        while let Some(edge) = weakest(&words) {
            if !weak.insert(kinds(&circle, edge)) {
                break;
            }
            let graph = without(part, &members, &weak)?;
            let Some(nodes) = a_circle(&graph)? else {
                return Ok(());
            };
            if cycles.other_ways.len() == MOST {
                break;
            }
            let object = |node: &Node| part.objects[members[*node as usize] as usize];
            circle = nodes.iter().map(object).collect();
            words = Cycles::default();
            put_into_words(&circle, &mut words);
            let Some(edge) = weakest(&words).map(|at| &words.edges[at]) else {
                break;
            };
            let holder = circle[shown(&circle)[edge.from]];
            let name = format!("{}{}", names::short(Py_TYPE(holder)), edge.name);
            if !cycles.other_ways.contains(&name) {
                cycles.other_ways.push(name);
            }
        }
    }
    cycles.has_more_ways = true;
    Ok(())
}

/// Of the reference that stands at a place of a circle in words. The `__dict__` of an
/// object may hold it.
unsafe fn kinds(circle: &[*mut PyObject], edge: usize) -> Kinds {
    // SAFETY: the caller passes live objects.
    unsafe {
        let shown = shown(circle);
        let target = shown[(edge + 1) % shown.len()];
        let holder = (target + circle.len() - 1) % circle.len();
        let kind = |at: usize| Py_TYPE(circle[at]) as usize;
        (kind(holder), kind(target))
    }
}

/// The members and their references, without those of these kinds.
unsafe fn without(part: &Part, members: &[Node], weak: &HashSet<Kinds>) -> Result<Graph, Failure> {
    let references = members.iter().map(|node| part.graph.targets(*node).len());
    let mut builder = Builder::new(members.len(), references.sum())?;
    // SAFETY: the caller's contract.
    let kind = |node: Node| unsafe { Py_TYPE(part.objects[node as usize]) as usize };
    for &node in members {
        for &target in part.graph.targets(node) {
            if let Ok(place) = members.binary_search(&target)
                && !weak.contains(&(kind(node), kind(target)))
            {
                builder.reference(place as Node)?;
            }
        }
        builder.node(0, 0)?;
    }
    Ok(builder.finish())
}

/// A shortest circle of the first set of circles.
fn a_circle(graph: &Graph) -> Result<Option<Vec<Node>>, Failure> {
    let mut first: Option<Vec<Node>> = None;
    components(
        graph,
        |_| true,
        |found| {
            first.get_or_insert_with(|| found.to_vec());
            Ok(())
        },
    )?;
    let Some(mut nodes) = first else {
        return Ok(None);
    };
    nodes.sort_unstable();
    let begin = nodes[0];
    let circle = shortest_cycle(graph, begin, |node| nodes.binary_search(&node).is_ok())?;
    Ok(Some(circle).filter(|circle| !circle.is_empty()))
}

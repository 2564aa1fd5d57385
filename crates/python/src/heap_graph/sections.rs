//! The heap at the end of a run, for its capture file: types, whose memory is of
//! which, what retains what, cycles. Cut to its largest parts; the rest is there by type, added up.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use pyo3_ffi::*;
use wrasse_graph::{Dominators, Node};
use wrasse_report::{Cycle, CycleEdge, CycleNode, RetainedNode, TypeRow, to_section, units};

use super::edge::{Access, access, namespace};
use super::path::Words;
use super::{Failure, Picture, cycles, names, table, typed_blocks};
use crate::{capture, census};

/// Objects with a line of their own.
const MOST_OBJECTS: usize = 3_000;
/// Of what one thing holds. Each name costs a search in its holder.
const MOST_CHILDREN: usize = 40;
/// Types that the rest of that is told apart by.
const MOST_TYPES: usize = 10;
/// How deep the tree goes. Readers of JSON have limits of their own.
const DEEPEST: usize = 40;
/// Types that have a row.
const MOST_ROWS: usize = 5_000;
/// Kinds of cycles.
const MOST_CYCLES: usize = 40;
/// Objects of one that are drawn.
const LONGEST_CYCLE: usize = 200;

/// Stands for a place above what nothing reaches.
const GARBAGE: usize = usize::MAX;

/// Looks at the heap and adds what it finds to the capture of this process.
///
/// # Errors
/// Why there is nothing in it.
///
/// # Safety
/// The GIL is held, no exception is set, and no lock of ours is taken.
pub unsafe fn write_sections() -> Result<(), String> {
    // SAFETY: the caller's contract.
    let found = unsafe { Picture::at_rest(|picture| sections(picture)) };
    let sections = found.map_err(|failure| match failure {
        Failure::Memory => "not enough memory".to_string(),
        Failure::Unknown(reason) => reason,
        Failure::Raised => {
            // SAFETY: the GIL is held; the exception was ours.
            unsafe { PyErr_Clear() };
            "the interpreter is too far gone".to_string()
        }
    })?;
    for (name, content) in sections {
        if !capture::section(name, &content) {
            return Err("it could not be written".into());
        }
    }
    Ok(())
}

/// # Safety
/// Called while the picture stands.
unsafe fn sections(picture: &mut Picture) -> Result<[(&'static str, Vec<u8>); 4], Failure> {
    // SAFETY: the caller's contract.
    unsafe {
        let roots = picture.roots();
        picture.graph.set_roots(roots);
        let graph = &picture.graph;
        let dominators = Dominators::of(graph)?;
        let retained = dominators.retained(graph)?;
        let kinds = picture.kinds.all();
        let by_kind = dominators.retained_by_kind(graph, &retained, kinds.len())?;
        let mut types: Vec<TypeRow> = table::rows(kinds, by_kind)
            .into_iter()
            .map(|row| TypeRow {
                name: row.name,
                count: row.objects,
                bytes: row.shallow,
                retained: Some(row.retained),
            })
            .collect();
        types.truncate(MOST_ROWS);
        let tree = Tree::new(picture, &dominators, &retained)?.root();
        drop((dominators, retained));
        picture.graph.set_roots(Vec::new());
        let found = found_cycles(picture)?;
        let typed = typed_blocks::find(picture)?;
        Ok([
            ("types", to_section(&types)),
            ("retained", to_section(&tree)),
            ("cycles", to_section(&found)),
            ("typed_blocks", to_section(&typed)),
        ])
    }
}

/// The dominator tree as it is shown.
struct Tree<'a> {
    picture: &'a Picture,
    dominators: &'a Dominators,
    retained: &'a [u64],
    words: Words<'a>,
    roots: HashSet<Node>,
    /// Namespaces of modules, which hold what functions and classes of theirs share.
    namespaces: HashMap<*mut PyObject, String>,
    /// What is shown below each place, the most bytes first.
    children: HashMap<usize, Vec<usize>>,
    /// And what is not, by type: objects and bytes.
    rest: HashMap<(usize, u32), (u64, u64)>,
}

impl<'a> Tree<'a> {
    /// # Safety
    /// Called while the picture stands; so for the other functions.
    unsafe fn new(
        picture: &'a Picture,
        dominators: &'a Dominators,
        retained: &'a [u64],
    ) -> Result<Self, Failure> {
        // The largest, which have their dominators among them: those retain at
        // least as much, and come first where it is the same.
        let mut largest: Vec<u32> = (1..dominators.len() as u32).collect();
        if largest.len() > MOST_OBJECTS {
            largest.select_nth_unstable_by_key(MOST_OBJECTS, |place| {
                (Reverse(retained[*place as usize]), *place)
            });
            largest.truncate(MOST_OBJECTS);
        }
        largest.sort_unstable_by_key(|place| (Reverse(retained[*place as usize]), *place));
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut shown: HashSet<usize> = HashSet::from([0]);
        for place in largest {
            let place = place as usize;
            let above = dominators.dominator(place);
            let list = children.entry(above).or_default();
            // What is below something that is not shown is not shown either.
            if list.len() < MOST_CHILDREN && shown.contains(&above) {
                list.push(place);
                shown.insert(place);
            }
        }
        let mut rest: HashMap<(usize, u32), (u64, u64)> = HashMap::new();
        for (place, bytes) in retained.iter().enumerate().skip(1) {
            let above = dominators.dominator(place);
            if !shown.contains(&place) && shown.contains(&above) {
                rest.try_reserve(1).map_err(|_| Failure::Memory)?;
                let kind = picture.graph.kind(dominators.node(place));
                let is_garbage = above == 0 && place >= dominators.first_unreached();
                let above = if is_garbage { GARBAGE } else { above };
                let sum = rest.entry((above, kind)).or_default();
                sum.0 += 1;
                sum.1 += bytes;
            }
        }
        let mut namespaces = HashMap::new();
        // SAFETY: the caller's contract.
        unsafe {
            names::each_module(|module| {
                let name = names::module(module);
                namespaces.entry(PyModule_GetDict(module)).or_insert(name);
            });
        }
        Ok(Tree {
            picture,
            namespaces,
            dominators,
            retained,
            // SAFETY: the caller's contract.
            words: unsafe { Words::new(picture) },
            roots: picture.graph.roots().iter().copied().collect(),
            children,
            rest,
        })
    }

    fn object(&self, place: usize) -> *mut PyObject {
        self.picture.object(self.dominators.node(place))
    }

    unsafe fn root(&self) -> RetainedNode {
        let first = self.dominators.first_unreached();
        let mut root = RetainedNode {
            name: "everything".into(),
            bytes: self.retained[0],
            children: Vec::new(),
        };
        let mut garbage = RetainedNode {
            name: "what nothing reaches: waits for the collector".into(),
            ..RetainedNode::default()
        };
        garbage.bytes = (first..self.dominators.len())
            .map(|place| self.picture.graph.size(self.dominators.node(place)))
            .sum();
        for &place in self.children.get(&0).into_iter().flatten() {
            // SAFETY: the caller's contract.
            let node = unsafe { self.node(place, None, 1) };
            let list = if place < first {
                &mut root
            } else {
                &mut garbage
            };
            list.children.push(node);
        }
        self.add_rest(0, &mut root.children);
        if garbage.bytes > 0 {
            self.add_rest(GARBAGE, &mut garbage.children);
            garbage.children.sort_by_key(|node| Reverse(node.bytes));
            root.children.push(garbage);
        }
        root.children.sort_by_key(|node| Reverse(node.bytes));
        root
    }

    /// What stands at a place, under an object.
    unsafe fn node(
        &self,
        place: usize,
        holder: Option<*mut PyObject>,
        depth: usize,
    ) -> RetainedNode {
        let object = self.object(place);
        let mut node = RetainedNode {
            // SAFETY: the caller's contract.
            name: unsafe { self.name(place, holder) },
            bytes: self.retained[place],
            children: Vec::new(),
        };
        if depth < DEEPEST {
            // SAFETY: as above.
            unsafe { self.add_children(place, object, depth, &mut node.children) };
            node.children.sort_by_key(|child| Reverse(child.bytes));
        }
        node
    }

    unsafe fn add_children(
        &self,
        place: usize,
        holder: *mut PyObject,
        depth: usize,
        into: &mut Vec<RetainedNode>,
    ) {
        for &child in self.children.get(&place).into_iter().flatten() {
            let object = self.object(child);
            // SAFETY: the caller's contract.
            unsafe {
                // What a namespace holds are the attributes of its owner.
                if PyDict_CheckExact(object) != 0 && namespace(holder) == object {
                    self.add_children(child, holder, depth, into);
                } else {
                    into.push(self.node(child, Some(holder), depth + 1));
                }
            }
        }
        self.add_rest(place, into);
    }

    fn add_rest(&self, place: usize, into: &mut Vec<RetainedNode>) {
        let kinds = self.picture.kinds.all();
        let mut sums: Vec<(u32, (u64, u64))> = (0..kinds.len() as u32)
            .filter_map(|kind| Some((kind, *self.rest.get(&(place, kind))?)))
            .collect();
        sums.sort_by_key(|(_, (_, bytes))| Reverse(*bytes));
        let left = sums.split_off(sums.len().min(MOST_TYPES));
        into.extend(sums.iter().map(|&(kind, (count, bytes))| RetainedNode {
            // SAFETY: types are alive with their objects.
            name: format!("{} × {}", units::count(count), unsafe {
                census::name_of(kinds[kind as usize].of)
            }),
            bytes,
            children: Vec::new(),
        }));
        if !left.is_empty() {
            let count: u64 = left.iter().map(|(_, (count, _))| count).sum();
            into.push(RetainedNode {
                name: format!(
                    "{} objects of {} other types",
                    units::count(count),
                    left.len()
                ),
                bytes: left.iter().map(|(_, (_, bytes))| bytes).sum(),
                children: Vec::new(),
            });
        }
    }

    unsafe fn name(&self, place: usize, holder: Option<*mut PyObject>) -> String {
        let object = self.object(place);
        let node = self.dominators.node(place);
        // SAFETY: the caller's contract.
        unsafe {
            let label = names::label(object);
            let Some(holder) = holder else {
                if self.words.is_module(object) {
                    return label;
                }
                if let Some(module) = self.namespaces.get(&object) {
                    return format!("namespace of module {module}");
                }
                return match self.roots.contains(&node) {
                    true => format!("{}: {label}", self.words.root(node)),
                    false if place < self.dominators.first_unreached() => {
                        format!("{label} (held in more than one way)")
                    }
                    false => label,
                };
            };
            match access(holder, object) {
                Access::Words(words) if words.is_empty() => label,
                by => format!("{}  {label}", written(&by)),
            }
        }
    }
}

/// A reference without its holder.
fn written(access: &Access) -> String {
    match access {
        Access::Attribute(name) => format!(".{name}"),
        Access::Item(item) => item.clone(),
        Access::Words(words) if words.is_empty() => String::new(),
        Access::Words(words) => format!("({words})"),
    }
}

/// # Safety
/// Called while the picture stands.
unsafe fn found_cycles(picture: &Picture) -> Result<Vec<Cycle>, Failure> {
    // SAFETY: the caller's contract.
    unsafe {
        let paths = picture.paths(None)?;
        let members = cycles::Belongs::new(picture)?;
        let shapes = cycles::find(
            picture,
            |node| members.has(picture, node),
            |node| paths.reaches(node),
            MOST_CYCLES,
        )?;
        let short = shapes
            .iter()
            .filter(|shape| shape.example.len() <= LONGEST_CYCLE);
        Ok(short
            .map(|shape| {
                let (nodes, edges) = drawn(picture, &shape.example);
                Cycle {
                    count: shape.cycles,
                    bytes: shape.bytes,
                    nodes,
                    edges,
                    file: None,
                    line: None,
                }
            })
            .collect())
    }
}

/// The objects of a cycle, without namespaces that are only their owners'
/// attributes, and the references between them.
unsafe fn drawn(picture: &Picture, cycle: &[Node]) -> (Vec<CycleNode>, Vec<CycleEdge>) {
    let objects: Vec<_> = cycle.iter().map(|node| picture.object(*node)).collect();
    // SAFETY: the caller's contract.
    unsafe {
        let is_part = |at: usize| {
            let before = objects[(at + objects.len() - 1) % objects.len()];
            PyDict_CheckExact(objects[at]) != 0 && namespace(before) == objects[at]
        };
        let kept: Vec<_> = (0..objects.len())
            .filter(|at| !is_part(*at))
            .map(|at| objects[at])
            .collect();
        let nodes = kept.iter().enumerate().map(|(id, object)| CycleNode {
            id: id as u64,
            name: names::full_type(*object),
        });
        let edges = (0..kept.len()).map(|at| {
            let next = (at + 1) % kept.len();
            CycleEdge {
                from: at as u64,
                to: next as u64,
                name: written(&access(kept[at], kept[next])),
            }
        });
        (nodes.collect(), edges.collect())
    }
}

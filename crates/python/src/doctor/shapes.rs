//! Cycles of one shape from one place, and how one of them is put into words.

use std::ffi::CStr;
use std::hash::Hasher;

use pyo3_ffi::*;
use wrasse_doctor::Observations;
use wrasse_doctor::observations::{Cycles, Edge, HeldException, Line};
use wrasse_graph::{Node, shortest_cycle};

use super::garbage::{Part, traceback_of};
use super::{exceptions, lines, ways_round};
use crate::by_address::{AddressHasher, ByAddress};
use crate::census;
use crate::heap_graph::edge::{self, Access};
use crate::heap_graph::names;
use crate::layout::load;

/// Shapes that are told apart; what comes later is not told of.
const MOST: usize = 2000;
/// `PyTracebackObject` (a public struct): its frame, its instruction, its line.
const TRACEBACK_FRAME: usize = 24;
const TRACEBACK_INSTRUCTION: usize = 32;
const TRACEBACK_LINE: usize = 36;

/// One cycle, as it was found.
pub struct Found<'a> {
    /// Its nodes.
    pub cycle: &'a [Node],
    /// The object it is told of.
    pub subject: Node,
    /// Objects in it and what hangs on it, and their bytes.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many cycles of the set at hand this one stands for.
    pub scale: f64,
    /// It will not be freed.
    pub is_final: bool,
    /// Seconds since its generation was last looked through, so that nothing of it
    /// has waited longer; absent at the first time.
    pub waited: Option<f64>,
    /// When the program is over: the cycle with all that hangs on it.
    pub at_end: Option<&'a [Node]>,
}

/// All shapes found so far.
#[derive(Default)]
pub struct Shapes {
    /// By a number that stands for types and place.
    numbers: ByAddress<usize>,
    all: Vec<Shape>,
    touched: Vec<usize>,
    /// Knows which files are libraries.
    pub places: Observations,
}

#[derive(Default)]
struct Shape {
    cycles: Cycles,
    count: f64,
    objects: f64,
    bytes: f64,
    /// Bytes in the set at hand.
    now: f64,
    /// The type of the last one's subject.
    kind: usize,
    /// One was found while the program ran.
    is_early: bool,
    /// Of one that was found when it was over: bytes that only tracebacks held.
    by_tracebacks: Option<u64>,
}

impl Shapes {
    /// What was found, in numbers and words. A single circle that was there when the
    /// program was over has been in use so long, or might have been: nothing waited. But
    /// what tracebacks held was not.
    pub fn finish(self) -> Vec<Cycles> {
        let exact = |shape: Shape| {
            let is_single = shape.count < 1.5 && !shape.is_early;
            let cycles = &shape.cycles;
            let may_wait = cycles.finalizers.is_empty() && !cycles.uncollectable;
            let most_bytes = match shape.by_tracebacks {
                None if is_single && may_wait => return None,
                Some(bytes) if is_single => bytes,
                _ => cycles.most_bytes,
            };
            Some(Cycles {
                count: shape.count.round() as u64,
                objects: shape.objects.round() as u64,
                bytes: shape.bytes.round() as u64,
                most_bytes,
                ..shape.cycles
            })
        };
        self.all.into_iter().filter_map(exact).collect()
    }

    /// What was found so far of each type of subject stands for so many times as much.
    pub fn scale(&mut self, factor: impl Fn(usize) -> f64) {
        for shape in &mut self.all {
            let factor = factor(shape.kind);
            shape.count *= factor;
            shape.objects *= factor;
            shape.bytes *= factor;
        }
    }

    /// Adds a cycle to those of its shape.
    ///
    /// # Safety
    /// The GIL is held and `part` stands.
    pub unsafe fn add(&mut self, part: &Part, found: &Found) {
        let &Found {
            cycle,
            subject,
            scale,
            is_final,
            ..
        } = found;
        // SAFETY: the caller's contract.
        unsafe {
            let raised = raised(part, cycle);
            let number = signature(part, cycle, subject, raised, is_final);
            let index = match self.numbers.get(&number) {
                Some(index) => *index,
                None if self.all.len() >= MOST => return,
                None => {
                    let mut cycles = describe(part, cycle, subject, raised);
                    cycles.uncollectable = is_final;
                    // What is alike in words is one, wherever its types lie.
                    let known = self
                        .all
                        .iter()
                        .position(|shape| self.is_alike(&shape.cycles, &cycles));
                    let index = known.unwrap_or(self.all.len());
                    if known.is_none() {
                        self.all.push(Shape {
                            cycles,
                            ..Shape::default()
                        });
                    }
                    self.numbers.insert(number, index);
                    index
                }
            };
            let shape = &mut self.all[index];
            shape.count += scale;
            shape.objects += scale * found.objects as f64;
            shape.bytes += scale * found.bytes as f64;
            if shape.now == 0.0 {
                self.touched.push(index);
            }
            shape.now += scale * found.bytes as f64;
            shape.kind = Py_TYPE(part.objects[subject as usize]) as usize;
            match found.at_end {
                None => shape.is_early = true,
                Some(nodes) if shape.cycles.exception.is_some() => {
                    shape.by_tracebacks = Some(exceptions::held_by_tracebacks(part, nodes));
                }
                Some(_) => {}
            }
            shape.cycles.looked_at += 1;
            if let Some(waited) = found.waited {
                let longest = shape.cycles.longest_wait.get_or_insert(waited);
                *longest = longest.max(waited);
            }
        }
    }

    /// Whether two cycles are one to a reader, wherever each begins, whichever item of
    /// a list it goes through, and by whatever way its line was come to.
    fn is_alike(&self, one: &Cycles, other: &Cycles) -> bool {
        // What takes longest comes last: a new circle is compared with all known ones.
        one.exception == other.exception
            && one.uncollectable == other.uncollectable
            && one.finalizers == other.finalizers
            && one.nodes.len() == other.nodes.len()
            && steps(one) == steps(other)
            && self.places.own_line(&one.frames) == self.places.own_line(&other.frames)
    }

    /// The set is done: what lay waiting at one time is known.
    pub fn end_set(&mut self) {
        for index in self.touched.drain(..) {
            let shape = &mut self.all[index];
            let now = std::mem::take(&mut shape.now).round() as u64;
            shape.cycles.most_bytes = shape.cycles.most_bytes.max(now);
        }
    }
}

/// The references of a cycle without their order: type and name.
fn steps(cycles: &Cycles) -> Vec<(&str, &str)> {
    let mut steps: Vec<_> = Vec::new();
    for edge in &cycles.edges {
        let name = if edge.name.starts_with('[') {
            "[]"
        } else {
            &edge.name
        };
        steps.push((cycles.nodes[edge.from].as_str(), name));
    }
    steps.sort_unstable();
    steps
}

/// The object that a cycle is told of: the first allocated that is an instance of
/// a class made in Python; else the first function; else the first allocated.
///
/// # Safety
/// As for [`Shapes::add`].
pub unsafe fn subject(part: &Part, cycle: &[Node]) -> Node {
    // SAFETY: garbage is alive.
    let rank = |node: Node| unsafe {
        let kind = Py_TYPE(part.objects[node as usize]);
        let is_class = PyType_IsSubtype(kind, &raw mut PyType_Type) != 0;
        if (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE != 0 && !is_class {
            0
        } else if kind == &raw mut PyFunction_Type {
            1
        } else {
            2
        }
    };
    let first = cycle
        .iter()
        .copied()
        .min_by_key(|node| (rank(*node), *node));
    first.unwrap_or(0)
}

/// A number that is the same for cycles of the same types from the same place.
/// Types may go and others come in their place: then one is taken for the other.
unsafe fn signature(
    part: &Part,
    cycle: &[Node],
    subject: Node,
    raised: Option<*mut PyObject>,
    is_final: bool,
) -> usize {
    let kind = |node: Node| {
        // SAFETY: garbage is alive.
        let object = unsafe { Py_TYPE(part.objects[node as usize]) };
        object as usize
    };
    let mut kinds: Vec<usize> = Vec::new();
    let mut last = 0;
    for &node in cycle {
        let kind = kind(node);
        if kind != last && !kinds.contains(&kind) && kinds.len() < 32 {
            kinds.push(kind);
        }
        last = kind;
    }
    kinds.sort_unstable();
    let mut hasher = AddressHasher::default();
    kinds.iter().for_each(|kind| hasher.write_usize(*kind));
    hasher.write_usize(kind(subject));
    // SAFETY: garbage is alive.
    unsafe {
        let place = match raised {
            Some(traceback) => {
                let frame: *mut PyObject = load(traceback.cast(), TRACEBACK_FRAME);
                let code = PyFrame_GetCode(frame.cast());
                let instruction: i32 = load(traceback.cast(), TRACEBACK_INSTRUCTION);
                Py_DECREF(code.cast());
                code as usize ^ instruction as usize
            }
            None => traceback_of(part.objects[subject as usize]).map_or(0, |id| id.0 as usize + 1),
        };
        hasher.write_usize(place);
    }
    hasher.write_usize(usize::from(is_final));
    hasher.finish() as usize
}

/// The traceback in a cycle whose frame is in it, too.
unsafe fn raised(part: &Part, cycle: &[Node]) -> Option<*mut PyObject> {
    // SAFETY: garbage is alive; a traceback's frame is read where its type says
    // that it is one.
    unsafe {
        let object = |node: &Node| part.objects[*node as usize];
        let is = |object: *mut PyObject, kind: *mut PyTypeObject| Py_TYPE(object) == kind;
        if !cycle
            .iter()
            .any(|node| is(object(node), &raw mut PyFrame_Type))
        {
            return None;
        }
        cycle.iter().map(object).find(|traceback| {
            is(*traceback, &raw mut PyTraceBack_Type) && {
                let frame: *mut PyObject = load(traceback.cast(), TRACEBACK_FRAME);
                cycle.iter().any(|node| object(node) == frame)
            }
        })
    }
}

unsafe fn describe(
    part: &Part,
    cycle: &[Node],
    subject: Node,
    raised: Option<*mut PyObject>,
) -> Cycles {
    let mut cycles = Cycles::default();
    // SAFETY: garbage is alive and stands still.
    unsafe {
        let start = match raised {
            Some(traceback) => {
                let node = part.objects.iter().position(|each| *each == traceback);
                node.map_or(subject, |node| node as Node)
            }
            None => subject,
        };
        let belongs = |node: Node| cycle.binary_search(&node).is_ok();
        let sorted = cycle.is_sorted();
        let shortest = if sorted {
            shortest_cycle(&part.graph, start, belongs)
        } else {
            let mut cycle = cycle.to_vec();
            cycle.sort_unstable();
            shortest_cycle(&part.graph, start, |node| {
                cycle.binary_search(&node).is_ok()
            })
        };
        let shortest = shortest.unwrap_or_default();
        let objects: Vec<_> = shortest
            .iter()
            .map(|node| part.objects[*node as usize])
            .collect();
        put_into_words(&objects, &mut cycles);
        if raised.is_none() {
            // Without memory for it there is less to say.
            let _ = ways_round::find(part, cycle, &objects, &mut cycles);
        }
        for &node in cycle {
            let kind = Py_TYPE(part.objects[node as usize]);
            if has_finalizer(kind) {
                let name = census::name_of(kind);
                if !cycles.finalizers.contains(&name) {
                    cycles.finalizers.push(name);
                }
            }
        }
        cycles.finalizers.sort();
        cycles.exception = raised.and_then(|traceback| held_exception(&objects, traceback));
        cycles.frames = match &cycles.exception {
            Some(held) => vec![held.line.clone()],
            None => traceback_of(part.objects[subject as usize])
                .map(lines::of_traceback)
                .unwrap_or_default(),
        };
    }
    cycles
}

/// The places of a circle's objects that are told: the `__dict__` of an object is part
/// of it.
///
/// # Safety
/// They are alive; so for [`put_into_words`].
pub unsafe fn shown(objects: &[*mut PyObject]) -> Vec<usize> {
    let count = objects.len();
    // SAFETY: the caller's contract.
    let is_namespace = |index: &usize| unsafe {
        let (holder, object) = (objects[(index + count - 1) % count], objects[*index]);
        count > 1 && PyDict_CheckExact(object) != 0 && edge::namespace(holder) == object
    };
    (0..count).filter(|index| !is_namespace(index)).collect()
}

/// Names the references of a circle.
///
/// # Safety
/// As for [`shown`].
pub unsafe fn put_into_words(objects: &[*mut PyObject], cycles: &mut Cycles) {
    let count = objects.len();
    if count == 0 {
        return;
    }
    // SAFETY: as for `describe`.
    unsafe {
        let shown = shown(objects);
        for (number, &index) in shown.iter().enumerate() {
            let holder = objects[index];
            cycles.nodes.push(census::name_of(Py_TYPE(holder)));
            let next = (index + 1) % count;
            let access = if !shown.contains(&next) {
                let target = objects[(next + 1) % count];
                edge::attribute(objects[next], target)
            } else {
                None
            };
            let access = access.unwrap_or_else(|| edge::access(holder, objects[next]));
            cycles.edges.push(Edge {
                from: number,
                to: (number + 1) % shown.len(),
                name: match access {
                    Access::Attribute(name) => format!(".{name}"),
                    Access::Item(item) => item,
                    Access::Words(words) => words,
                },
            });
        }
    }
}

/// Whether the class has a `__del__` written in Python.
unsafe fn has_finalizer(kind: *mut PyTypeObject) -> bool {
    // SAFETY: a live type; its order of bases holds types. Looking up a string in
    // a type's namespace compares strings.
    unsafe {
        if (*kind).tp_finalize.is_none() || (*kind).tp_flags & Py_TPFLAGS_HEAPTYPE == 0 {
            return false;
        }
        let order = (*kind).tp_mro;
        let name = PyUnicode_InternFromString(c"__del__".as_ptr());
        if name.is_null() || order.is_null() || PyTuple_CheckExact(order) == 0 {
            Py_XDECREF(name);
            PyErr_Clear();
            return false;
        }
        let mut found = false;
        for index in 0..PyTuple_GET_SIZE(order) {
            let dict = edge::namespace(PyTuple_GET_ITEM(order, index));
            if !dict.is_null() && PyDict_CheckExact(dict) != 0 {
                let value = PyDict_GetItemWithError(dict, name);
                if !value.is_null() {
                    found = PyFunction_Check(value) != 0;
                    break;
                }
            }
        }
        Py_DECREF(name);
        PyErr_Clear();
        found
    }
}

/// The attribute of an instance by which the object at `index` of a circle refers to
/// the next one. What an exception keeps of another (`__context__`) is none.
unsafe fn keeper(objects: &[*mut PyObject], index: usize) -> Option<String> {
    // SAFETY: as for `describe`.
    unsafe {
        let count = objects.len();
        let (holder, target) = (objects[index], objects[(index + 1) % count]);
        let above = objects[(index + count - 1) % count];
        let (owner, access) = match count > 2 && edge::namespace(above) == holder {
            true => (above, edge::attribute(holder, target)?),
            false => (holder, edge::access(holder, target)),
        };
        let is_exception = (*Py_TYPE(owner)).tp_flags & Py_TPFLAGS_BASE_EXC_SUBCLASS != 0;
        match access {
            Access::Attribute(name) if !is_exception && !name.starts_with("__") => {
                Some(format!("{}.{name}", names::short(Py_TYPE(owner))))
            }
            _ => None,
        }
    }
}

/// Whether an object has items.
unsafe fn is_container(object: *mut PyObject) -> bool {
    // SAFETY: the caller passes a live object, whose type has a name.
    let name = unsafe { CStr::from_ptr((*Py_TYPE(object)).tp_name) };
    let names = [c"list", c"dict", c"tuple", c"set", c"collections.deque"];
    names.contains(&name)
}

/// Who holds the exception whose traceback is in the circle.
unsafe fn held_exception(
    objects: &[*mut PyObject],
    traceback: *mut PyObject,
) -> Option<HeldException> {
    // SAFETY: as for `describe`; a traceback's fields are where its struct says,
    // a frame has a code object.
    unsafe {
        let mut held = HeldException::default();
        let frame: *mut PyObject = load(traceback.cast(), TRACEBACK_FRAME);
        let code: *mut PyObject = PyFrame_GetCode(frame.cast()).cast();
        Py_DECREF(code);
        held.function = names::function_of(code)?;
        let line: i32 = load(traceback.cast(), TRACEBACK_LINE);
        let line = if line > 0 {
            line
        } else {
            PyCode_Addr2Line(
                code.cast(),
                load::<i32>(traceback.cast(), TRACEBACK_INSTRUCTION),
            )
        };
        held.line = Line {
            file: names::file_of(code)?,
            line: u32::try_from(line).unwrap_or(0),
        };
        for (index, &object) in objects.iter().enumerate() {
            let next = objects[(index + 1) % objects.len()];
            if (*Py_TYPE(next)).tp_flags & Py_TPFLAGS_BASE_EXC_SUBCLASS != 0 {
                held.kind = census::name_of(Py_TYPE(next));
                held.keeper = keeper(objects, index).unwrap_or_default();
                if held.keeper.is_empty() && is_container(object) {
                    let before = (index + objects.len() - 1) % objects.len();
                    held.is_item = true;
                    held.keeper = keeper(objects, before).unwrap_or_default();
                }
            }
            if object == frame
                && let Access::Words(words) = edge::access(object, next)
            {
                let name = words
                    .strip_prefix("local '")
                    .and_then(|rest| rest.strip_suffix('\''));
                held.variable = name.unwrap_or_default().to_string();
            }
        }
        Some(held)
    }
}

//! Variables that functions share with functions written in them: what their cells
//! keep alive.
//!
//! A cell is held by the frame of the function that the variable is of, and by each
//! inner function that uses it. Told are those that only inner functions hold, here, and
//! those that only a frame holds, with its other variables (`held.rs`).

use std::collections::HashMap;
use std::ffi::c_int;

use pyo3_ffi::*;
use wrasse_doctor::observations::{Held, HolderKind};
use wrasse_graph::Node;

use super::held::{SMALLEST, Search, length, number};
use crate::heap_graph::path::Words;
use crate::heap_graph::{Failure, names};
use crate::layout::{CODE_LOCALS, load};

/// From here on the path to the largest is looked for.
const LARGE: u64 = 512 << 10;

/// Those who hold a cell.
#[derive(Default)]
struct Users {
    functions: Vec<*mut PyObject>,
    name: String,
}

/// All cells of one variable, and the one that keeps most.
struct Variable {
    held: Held,
    most: u64,
    cell: *mut PyObject,
    content: *mut PyObject,
}

/// Adds what cells keep that nobody but functions hold, of one variable all together.
///
/// # Errors
/// No memory.
///
/// # Safety
/// The GIL is held since the picture was taken, and no exception is set; so for the
/// other functions.
pub unsafe fn find(search: &mut Search<'_>) -> Result<(), Failure> {
    let mut cells: HashMap<*mut PyObject, Users> = HashMap::new();
    let mut variables: HashMap<(String, u32, String), Variable> = HashMap::new();
    // SAFETY: the picture's objects are alive.
    unsafe {
        for function in search.picture.objects() {
            if PyFunction_Check(function) == 0 {
                continue;
            }
            let closure = PyFunction_GetClosure(function);
            if closure.is_null() {
                continue;
            }
            let code = PyFunction_GetCode(function);
            let count = PyTuple_GET_SIZE(closure);
            // Variables from outside come last.
            let all = load::<c_int>(code.cast(), CODE_LOCALS.count) as Py_ssize_t;
            for index in 0..count {
                let cell = PyTuple_GET_ITEM(closure, index);
                if content(cell).is_none() {
                    continue;
                }
                let users = cells.entry(cell).or_default();
                users.functions.push(function);
                if users.name.is_empty() {
                    users.name = names::variable(code, (all - count + index) as u32);
                }
            }
        }
        for (cell, users) in cells {
            let Some(content) = content(cell) else {
                continue;
            };
            // Somebody else holds it: the function that it is a variable of runs.
            if Py_REFCNT(cell) != users.functions.len() as Py_ssize_t {
                continue;
            }
            let bytes = search.kept(Some(cell), content);
            if bytes == 0 {
                continue;
            }
            let first = users.functions[0];
            let code = PyFunction_GetCode(first);
            let Some(file) = names::file_of(code) else {
                continue;
            };
            if !search.owners.is_own(&file) {
                continue;
            }
            let line = |function: &*mut PyObject| {
                number(PyFunction_GetCode(*function), c"co_firstlineno") as u32
            };
            let mut lines: Vec<u32> = users.functions.iter().map(line).collect();
            lines.sort_unstable();
            lines.dedup();
            let key = (file.clone(), lines[0], users.name.clone());
            let entry = variables.entry(key).or_insert_with(|| Variable {
                held: Held {
                    kind: HolderKind::Closure,
                    file,
                    name: users.name,
                    function: names::owner(first),
                    first_line: lines[0],
                    ..Held::default()
                },
                most: 0,
                cell,
                content,
            });
            entry.held.bytes += bytes;
            entry.held.count += 1;
            entry.held.items += length(content);
            entry.held.users.extend(lines);
            if bytes > entry.most {
                (entry.most, entry.cell, entry.content) = (bytes, cell, content);
            }
        }
        let mut large: Vec<Variable> = variables.into_values().collect();
        large.retain(|each| each.held.bytes >= SMALLEST);
        let is_worth_a_path = large.iter().any(|each| each.held.bytes >= LARGE);
        let paths = match is_worth_a_path {
            true => Some(search.picture.paths(None)?),
            false => None,
        };
        for mut each in large {
            each.held.users.sort_unstable();
            each.held.users.dedup();
            if let (Some(paths), Some(node)) = (&paths, search.picture.node(each.cell)) {
                let path: Vec<Node> = paths.to(node)?;
                each.held.path = Words::new(search.picture).path(&path, Some(each.content));
            }
            search.add(each.held, each.content);
        }
    }
    Ok(())
}

/// What is in a cell; `None` of anything else, and of an empty one.
pub unsafe fn content(cell: *mut PyObject) -> Option<*mut PyObject> {
    // SAFETY: a live object. What a cell gives is held by it, too.
    unsafe {
        if Py_TYPE(cell) != &raw mut PyCell_Type {
            return None;
        }
        let content = PyCell_Get(cell);
        Py_XDECREF(content);
        (!content.is_null()).then_some(content)
    }
}

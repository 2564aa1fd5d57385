//! What a notebook keeps of its results: `Out`, `_3`, `_`, and where else IPython has
//! them.

use std::collections::HashMap;
use std::ffi::CStr;

use pyo3_ffi::*;
use wrasse_doctor::NOTEBOOK;
use wrasse_doctor::observations::{Held, HolderKind};
use wrasse_graph::Node;

use super::held::{Search, each_item};
use crate::heap_graph::names::text;

/// Smaller results may stay.
const SMALLEST: u64 = 256 << 10;

/// Is it one of the names that IPython gives to inputs and results?
pub fn is_name(name: &str) -> bool {
    const OTHERS: [&str; 7] = ["In", "Out", "_ih", "_oh", "_dh", "_i", "exit"];
    is_result(name) || OTHERS.contains(&name) || name.starts_with("_i")
}

/// `_`, `__`, `___`, `_3`.
fn is_result(name: &str) -> bool {
    let rest = name.trim_start_matches('_');
    let underscores = name.len() - rest.len();
    match rest {
        "" => (1..=3).contains(&underscores),
        digits => underscores == 1 && digits.bytes().all(|each| each.is_ascii_digit()),
    }
}

/// Adds the results that nobody but the history keeps.
///
/// # Safety
/// The GIL is held since the picture was taken, and no exception is set.
pub unsafe fn find(search: &mut Search<'_>) {
    let modules = search.owners.modules.iter();
    let mut notebooks = modules.filter(|(_, file)| *file == NOTEBOOK);
    let Some(names) = notebooks.next().map(|(dict, _)| *dict) else {
        return;
    };
    // SAFETY: the picture's objects are alive, and do not change.
    unsafe {
        let out = PyDict_GetItemString(names, c"_oh".as_ptr());
        let mut results: HashMap<Node, (u64, *mut PyObject)> = HashMap::new();
        each_item(names, |key, value| {
            let name = text(key).unwrap_or_default();
            if !is_result(&name) || search.retained(value) < SMALLEST {
                return;
            }
            if let Some(node) = search.picture.node(value) {
                let cell = name[1..].parse().unwrap_or(0);
                let known = results.entry(node).or_insert((cell, value));
                known.0 = match known.0 {
                    0 => cell,
                    known if cell > 0 => known.min(cell),
                    known => known,
                };
            }
        });
        if results.is_empty() {
            return;
        }
        let nodes = results.keys().copied().collect();
        for (node, holders) in search.picture.sources(&nodes) {
            let value = search.picture.object(node);
            let mut holders = holders.iter().map(|node| search.picture.object(*node));
            if !holders.all(|holder| is_history(holder, value, out)) {
                results.remove(&node);
            }
        }
        for reference in &search.picture.stack.references {
            if let Some(node) = search.picture.node(reference.target) {
                results.remove(&node);
            }
        }
        for (cell, value) in results.into_values() {
            let name = match cell {
                0 => "_".to_string(),
                cell => format!("Out[{cell}]"),
            };
            let held = Held {
                kind: HolderKind::History,
                file: NOTEBOOK.into(),
                name,
                count: cell,
                bytes: search.retained(value),
                ..Held::default()
            };
            search.add(held, value);
        }
    }
}

/// Does `holder` have `value` only as a part of the history?
unsafe fn is_history(holder: *mut PyObject, value: *mut PyObject, out: *mut PyObject) -> bool {
    // SAFETY: live objects.
    unsafe {
        if holder == out {
            return true;
        }
        if PyDict_Check(holder) != 0 {
            let mut is_all = true;
            each_item(holder, |key, each| {
                if each == value {
                    is_all &= text(key).is_some_and(|name| is_result(&name));
                }
            });
            return is_all;
        }
        let kind = CStr::from_ptr((*Py_TYPE(holder)).tp_name).to_string_lossy();
        // The object that shows results, and the last cell's outcome.
        kind.ends_with("DisplayHook") || kind.ends_with("ExecutionResult")
    }
}

#[cfg(test)]
mod tests {
    use super::{is_name, is_result};

    #[test]
    fn names_of_the_history() {
        for name in ["_", "__", "___", "_1", "_42"] {
            assert!(is_result(name) && is_name(name), "{name}");
        }
        for name in ["", "____", "_x", "__1", "x_1", "_1x", "__name__"] {
            assert!(!is_result(name), "{name}");
        }
        assert!(is_name("_i3") && is_name("Out") && !is_name("rows"));
    }
}

//! The program's source files, each parsed once for all rules.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use wrasse_source::Module;

use crate::cells::{Cells, NOTEBOOK};
use crate::finding::Finding;
use crate::observations::Observations;
use crate::text_file;

thread_local! {
    static TEXTS: RefCell<HashMap<String, String>> = RefCell::default();
    static CELLS: RefCell<Option<Cells>> = RefCell::default();
    static READ: RefCell<HashMap<String, Option<Rc<Module>>>> = RefCell::default();
}

/// Sets what is known of source that is in no file, for the rules that are asked next.
pub fn begin(observations: &Observations, cells: Option<Cells>) {
    let texts = observations.texts.iter();
    let mut texts: HashMap<String, String> = texts
        .map(|each| (each.file.clone(), each.text.clone()))
        .collect();
    if let Some(cells) = &cells {
        texts.insert(NOTEBOOK.into(), cells.text.clone());
    }
    READ.take();
    TEXTS.set(texts);
    CELLS.set(cells);
}

/// The text of a file, or of what stands for one.
pub fn text(file: &str) -> Option<String> {
    let known = TEXTS.with_borrow(|texts| texts.get(file).cloned());
    known.or_else(|| text_file::read_text(Path::new(file)).ok())
}

/// A line in words: `line 5`, `line 2 of cell 3`.
pub fn line(file: &str, line: u32) -> String {
    let place = CELLS.with_borrow(|cells| cells.as_ref().and_then(|cells| cells.place(line)));
    match place.filter(|_| file == NOTEBOOK) {
        Some((cell, line)) => format!("line {line} of cell {cell}"),
        None => format!("line {line}"),
    }
}

/// That a name is not used behind a line, in words.
pub fn last_used(file: &str, last: u32) -> String {
    format!("used for the last time in {}", line(file, last))
}

/// The last line of a notebook's cell, counted from the first cell's.
pub fn last_line_of_cell(number: u32) -> Option<u32> {
    CELLS.with_borrow(|cells| cells.as_ref()?.last_line(number))
}

/// Gives a finding in a notebook the name of its cell.
pub fn name(finding: &mut Finding) {
    CELLS.with_borrow(|cells| {
        if let Some(cells) = cells {
            cells.name(finding);
        }
    });
}

/// The module in a file; `None` if it is not there (any more) or no Python.
pub fn read(file: &str) -> Option<Rc<Module>> {
    READ.with_borrow_mut(|read| {
        let entry = read.entry(file.to_string()).or_insert_with(|| {
            let text = text(file)?;
            Module::read(&text).ok().map(Rc::new)
        });
        entry.clone()
    })
}

/// Does the program read what `function` adds to `container` when all of it has been
/// added, and only then? See [`wrasse_source::is_result`].
pub fn is_result(observations: &Observations, container: &str, function: &str) -> bool {
    let adder = match function.rsplit('.').next() {
        // A class is called by its own name.
        Some("__init__") => function.rsplit('.').nth(1).unwrap_or(function),
        Some(last) => last,
        None => function,
    };
    ask_all(observations, |modules| {
        wrasse_source::is_result(modules, container, adder)
    })
}

/// Is `container` added to and never read? See [`wrasse_source::is_pile`].
pub fn is_pile(observations: &Observations, container: &str) -> bool {
    ask_all(observations, |modules| {
        wrasse_source::is_pile(modules, container)
    })
}

/// Is it asked whether something is in `container`?
pub fn is_asked(observations: &Observations, container: &str) -> bool {
    ask_all(observations, |modules| {
        wrasse_source::is_asked(modules, container)
    })
}

fn ask_all(observations: &Observations, ask: impl FnOnce(&[&Module]) -> bool) -> bool {
    let files = observations.sources.iter();
    let modules: Vec<_> = files.filter_map(|file| read(file)).collect();
    let modules: Vec<&Module> = modules.iter().map(|module| &**module).collect();
    ask(&modules)
}

/// Are both the same file, by whatever path?
pub fn is_same(one: &str, other: &str) -> bool {
    let whole = |path: &str| fs::canonicalize(path).ok();
    one == other
        || Path::new(one).file_name() == Path::new(other).file_name() && whole(one) == whole(other)
}

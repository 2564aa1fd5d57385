//! The program's source files, each parsed once for all rules.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use wrasse_source::Module;

use crate::observations::Observations;
use crate::text_file;

thread_local! {
    static READ: RefCell<HashMap<String, Option<Rc<Module>>>> = RefCell::default();
}

/// The module in a file; `None` if it is not there (any more) or no Python.
pub fn read(file: &str) -> Option<Rc<Module>> {
    READ.with_borrow_mut(|read| {
        let entry = read.entry(file.to_string()).or_insert_with(|| {
            let text = text_file::read_text(Path::new(file)).ok()?;
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
    let files = observations.sources.iter();
    let modules: Vec<_> = files.filter_map(|file| read(file)).collect();
    let modules: Vec<&Module> = modules.iter().map(|module| &**module).collect();
    wrasse_source::is_result(&modules, container, adder)
}

/// Are both the same file, by whatever path?
pub fn is_same(one: &str, other: &str) -> bool {
    let whole = |path: &str| fs::canonicalize(path).ok();
    one == other
        || Path::new(one).file_name() == Path::new(other).file_name() && whole(one) == whole(other)
}

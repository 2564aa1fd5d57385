//! Turning wrasse on: at the start of an interpreter, or in a running one.
//!
//! Each part is turned on by itself. One that does not fit this interpreter
//! stays stock and says so in one line; nothing here raises or aborts.

use std::ffi::CStr;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;

use crate::options::Options;
use crate::{gc_module, interpreter, profile, tracemalloc_module};

/// Why parts stayed stock, by part; for `wrasse.status()`.
static REFUSALS: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

/// The reason why `part` stayed stock when it was last asked for.
pub fn refusal(part: &str) -> Option<String> {
    let refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = refusals.iter().find(|(name, _)| *name == part);
    found.map(|(_, reason)| reason.clone())
}

/// Writes one line to standard error, whatever state Python's own is in.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "wrasse: {line}");
}

/// Turns on what `options` names and is not on yet.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn turn_on(options: &Options) {
    // SAFETY: the caller's contract, for each call.
    unsafe {
        if options.gc {
            note("gc", "the collector", with_module(c"gc", |m| gc_module::install(m)));
        }
        if options.tracemalloc {
            let result = with_module(c"_tracemalloc", |m| tracemalloc_module::install(m));
            note("tracemalloc", "tracemalloc", result);
        }
        if options.alloc || options.limit.is_some() {
            let reason = "this version of wrasse has no allocator and no limit yet";
            note("alloc", "the allocator", Err(reason.into()));
        }
        if let Some(frames) = options.trace {
            let result = if profile::is_active() {
                Ok(())
            } else {
                profile::start(frames)
            };
            note("profile", "the profile", result);
        }
    }
}

/// Gives a module that was imported afresh wrasse's functions again, if its
/// part is on in this interpreter.
///
/// # Safety
/// As for [`turn_on`].
pub unsafe fn patch(module: *mut PyObject, name: &str) -> Result<(), String> {
    // SAFETY: the caller's contract.
    unsafe {
        match name {
            "gc" if interpreter::current().is_some() => gc_module::install(module),
            "_tracemalloc" if tracemalloc_module::is_installed() => {
                tracemalloc_module::install(module)
            }
            _ => Ok(()),
        }
    }
}

unsafe fn with_module(
    name: &CStr,
    install: impl FnOnce(*mut PyObject) -> Result<(), String>,
) -> Result<(), String> {
    // SAFETY: imports a module that is built into the interpreter.
    unsafe {
        let module = PyImport_ImportModule(name.as_ptr());
        if module.is_null() {
            PyErr_Clear();
            return Err(format!("there is no module {}", name.to_string_lossy()));
        }
        let result = install(module);
        Py_DECREF(module);
        result
    }
}

fn note(part: &'static str, words: &str, result: Result<(), String>) {
    let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
    refusals.retain(|(name, _)| *name != part);
    if let Err(reason) = result {
        let state = if part == "profile" { "stays off" } else { "stays stock" };
        say(&format!("{words} {state}: {reason}"));
        refusals.push((part, reason));
    }
}

//! Turning wrasse on: at the start of an interpreter, or in a running one.
//!
//! Each part is turned on by itself. One that does not fit this interpreter
//! stays stock and says so in one line; nothing here raises or aborts.

use std::ffi::CStr;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3_ffi::*;

use crate::options::Options;
use crate::{gc_module, hooks, interpreter, log, session, small_objects, tracemalloc_module};

/// The tracer is to serve `tracemalloc`.
static TRACEMALLOC: AtomicBool = AtomicBool::new(false);
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

/// As [`say`], but only the first time in this process: a virtual environment's
/// `.pth` files are read twice at each start, and by each subinterpreter.
pub fn say_once(line: &str) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        say(line);
    }
}

/// Turns on what `options` names and is not on yet.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn turn_on(options: &Options) {
    // SAFETY: the caller's contract, for each call.
    unsafe {
        if options.gc_log {
            log::turn_on();
        }
        if options.gc {
            note(
                "gc",
                "the collector",
                with_module(c"gc", |m| gc_module::install(m)),
                true,
            );
        }
        if options.pause.is_some()
            && let Some(interpreter) = interpreter::current()
        {
            interpreter.set_pause_target(options.pause);
        }
        // Before the tracer, whose hooks go in front of whatever serves blocks.
        if options.alloc || options.limit.is_some() {
            let result = small_objects::turn_on();
            let words = match options.limit {
                None => "the allocator",
                Some(_) => "the allocator, which the limit needs,",
            };
            // Who starts Python with another allocator, or with hooks, and asks
            // for everything else, knows why.
            let is_news = result.is_err()
                && (options.alloc_by_name
                    || options.limit.is_some()
                    || small_objects::is_plain_pymalloc().is_ok());
            note("alloc", words, result, is_news);
        }
        if let (Some(_), Some(region)) = (options.limit, small_objects::installed()) {
            region.limit().set(options.limit);
        }
        if let Some(count) = options.temporary {
            let result = hooks::set_temporary(count).map_err(|error| error.to_string());
            note("temporary", "the count of temporary blocks", result, true);
        }
        if options.tracemalloc {
            TRACEMALLOC.store(true, Ordering::Relaxed);
            if is_imported(c"_tracemalloc") || may_trace_already() {
                let result = with_module(c"_tracemalloc", |m| tracemalloc_module::install(m));
                note("tracemalloc", "tracemalloc", result, true);
            }
        }
        if let Some(frames) = options.trace {
            let result = session::keep_profile(frames);
            note("profile", "the profile", result, true);
        }
    }
}

/// Gives a module that was just imported wrasse's functions, if its part is on.
///
/// `_tracemalloc` is not imported at the start, because it cannot be imported in
/// every subinterpreter, and in fewer once another one has it: it gets its
/// functions here, the first time that the program imports it.
///
/// # Safety
/// As for [`turn_on`].
pub unsafe fn patch(module: *mut PyObject, name: &CStr) {
    // SAFETY: the caller's contract.
    unsafe {
        if name == c"gc" && interpreter::current().is_some() {
            note("gc", "the collector", gc_module::install(module), true);
        } else if name == c"_tracemalloc" && serves_tracemalloc() {
            let result = tracemalloc_module::install(module);
            note("tracemalloc", "tracemalloc", result, true);
        }
    }
}

/// Whether wrasse's tracer serves `tracemalloc`, or will when it is imported.
pub fn serves_tracemalloc() -> bool {
    TRACEMALLOC.load(Ordering::Relaxed)
}

unsafe fn is_imported(name: &CStr) -> bool {
    // SAFETY: looks into sys.modules.
    unsafe {
        let modules = PyImport_GetModuleDict();
        !modules.is_null() && !PyDict_GetItemString(modules, name.as_ptr()).is_null()
    }
}

/// Whether CPython was told to trace from the start: then the stock tracer has
/// hooks in place that must go before ours come.
unsafe fn may_trace_already() -> bool {
    // SAFETY: looks into sys._xoptions.
    unsafe {
        if PyInterpreterState_Get() != PyInterpreterState_Main() {
            return false;
        }
        let options = PySys_GetObject(c"_xoptions".as_ptr());
        let by_option = !options.is_null()
            && PyDict_Check(options) != 0
            && !PyDict_GetItemString(options, c"tracemalloc".as_ptr()).is_null();
        by_option || std::env::var_os("PYTHONTRACEMALLOC").is_some_and(|value| !value.is_empty())
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

/// Remembers what became of `part`, and says it, once, if that is news.
fn note(part: &'static str, words: &str, result: Result<(), String>, is_news: bool) {
    let mut refusals = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = refusals.iter().position(|(name, _)| *name == part);
    let known = known.map(|index| refusals.swap_remove(index).1);
    if let Err(reason) = result {
        if is_news && known.as_ref() != Some(&reason) {
            let state = if part == "profile" {
                "stays off"
            } else {
                "stays stock"
            };
            say(&format!("{words} {state}: {reason}"));
        }
        refusals.push((part, reason));
    }
}

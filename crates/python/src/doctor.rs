//! What `wrasse doctor` measures in the process that runs the program.
//!
//! The program runs as under `wrasse run`; besides, whatever looks at it for the
//! doctor leaves what it saw here, and it is written to a file at the end, for
//! the process that started this one.

mod budget;
mod built_lists;
mod closures;
mod collections;
mod copies;
mod exceptions;
mod garbage;
mod grown_types;
pub mod growth;
mod heads;
mod heap_looks;
mod held;
mod history;
mod holders;
mod kept;
mod kinded;
mod lines;
pub mod looks;
mod samples;
mod shapes;
mod sources;
mod tuples;
mod unseen;
mod variables;
mod waste;
mod ways_round;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pyo3_ffi::*;
use wrasse_doctor::Observations;
use wrasse_report::write_destination;

use crate::heap_graph::names::text;
use crate::{process, profile};

pub use collections::{begin_collection, end_collection, found, set_threshold, skip_garbage};
pub use kept::{from_capture, keep};

/// Environment variable that names the file for what was measured.
pub const VARIABLE: &str = "WRASSE_DOCTOR";

struct Session {
    file: PathBuf,
    begun: Instant,
}

static SESSION: OnceLock<Session> = OnceLock::new();
static OBSERVATIONS: Mutex<Option<Observations>> = Mutex::new(None);

/// Begins, if this process was started to be examined. Called by
/// [`crate::run::boot`] in the process that reports only.
///
/// # Safety
/// The caller holds the GIL of the main interpreter.
pub unsafe fn boot(python: &str) {
    let Some(file) = std::env::var_os(VARIABLE) else {
        return;
    };
    let begun = Instant::now();
    let session = Session {
        file: file.into(),
        begun,
    };
    if SESSION.set(session).is_err() {
        return;
    }
    // SAFETY: the caller's contract.
    if let Err(reason) = unsafe { crate::heap_graph::check() } {
        crate::boot::say(&format!("the doctor cannot read the heap here: {reason}"));
        return;
    }
    let begun_with = Observations {
        python: python.into(),
        // SAFETY: the caller's contract.
        libraries: unsafe { libraries() },
        ..Observations::default()
    };
    collections::begin(begun, begun_with.clone());
    *observations() = Some(begun_with);
    if profile::is_active() {
        growth::begin(begun);
        crate::capture::look_after(crate::capture::STEP);
    }
    // SAFETY: the caller's contract.
    unsafe { looks::start() };
}

/// Is this process being examined?
pub fn is_on() -> bool {
    SESSION.get().is_some()
}

/// What was seen so far; `None` where nobody asked.
pub fn observations() -> MutexGuard<'static, Option<Observations>> {
    OBSERVATIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The interpreter still lives, and the program's last code has run, but for
/// finalizers: the moment of the last looks.
pub fn at_exit() {
    let Some(session) = SESSION.get() else { return };
    let cpu_seconds = own_time().as_secs_f64();
    collections::collect_the_rest();
    let mut observations = observations();
    let Some(observations) = observations.as_mut() else {
        return;
    };
    observations.wall_seconds = session.begun.elapsed().as_secs_f64();
    observations.cpu_seconds = cpu_seconds;
    let mut seen = growth::Seen::default();
    if profile::is_active() {
        observations.peak_bytes = profile::totals().1;
        seen = growth::finish(observations, cpu_seconds);
    }
    // SAFETY: the interpreter calls this at exit, with the GIL and no exception; what
    // the program runs at exit has run or comes later, on this thread.
    unsafe { looks::last(observations, &seen) };
}

/// Leaves behind what was seen. No Python from here on.
pub fn finish() {
    let Some(session) = SESSION.get() else { return };
    let Some(mut observations) = observations().take() else {
        return;
    };
    collections::finish(&mut observations);
    // Plain data always have a JSON form. Who reads says where nothing came.
    let content = serde_json::to_vec(&observations).unwrap_or_default();
    let _ = write_destination(&session.file, &content);
}

/// Where the standard library and installed packages are.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn libraries() -> Vec<String> {
    let mut directories = Vec::new();
    // SAFETY: every reference taken is released, and null is never passed on, but
    // to what takes it.
    unsafe {
        let module = PyImport_ImportModule(c"os".as_ptr());
        if !module.is_null() {
            let file = PyObject_GetAttrString(module, c"__file__".as_ptr());
            let path = text(file);
            Py_XDECREF(file);
            Py_DECREF(module);
            let parent = path.as_deref().and_then(|path| Path::new(path).parent());
            directories.extend(parent.map(|path| path.to_string_lossy().into_owned()));
        }
        PyErr_Clear();
        let path = PySys_GetObject(c"path".as_ptr());
        if !path.is_null() && PyList_Check(path) != 0 {
            for index in 0..PyList_GET_SIZE(path) {
                let entry = text(PyList_GET_ITEM(path, index));
                directories.extend(entry.filter(|path| {
                    path.ends_with("site-packages") || path.ends_with("dist-packages")
                }));
            }
        }
    }
    directories
}

/// The processor's time without what looks took, which the program did not. Takes no
/// lock: asked from inside a hook.
fn own_time() -> Duration {
    process::cpu_time().saturating_sub(budget::all_spent())
}

//! The process started by `wrasse run`: gathers its figures when the program
//! has ended and tells them when the interpreter has.
//!
//! Two hooks, because no single moment will do. The profile needs a living
//! interpreter: an `atexit` callback, registered before any of the program's
//! and so called after them, reads it. The summary is printed when
//! finalization is over, so that it counts the last collections and follows
//! the last finalizers' messages. A program that ends by `os._exit()` has
//! neither moment, so that function reports before it ends the process.

mod quick_exit;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use pyo3_ffi::*;
use wrasse_report::{
    Allocator, Collector, CycleType, Frame, Generation, SCHEMA, Summary, Trace, Traceback,
    TracedLine, write_destination,
};
use wrasse_tracer::Snapshot;

use crate::{
    capture, doctor, heap_graph, interpreter, profile, small_objects, statistics, thread_names,
};

/// Environment variable that marks the process which reports.
pub const MARK: &str = "WRASSE_RUN";
/// Lines of the profile in the summary.
const TOP_LINES: usize = 5;
/// Tracebacks in the summary, where more than one frame is recorded.
const TOP_TRACEBACKS: usize = 3;

/// What `wrasse run` tells the interpreter it starts, and which one it is.
#[derive(Debug, PartialEq)]
pub struct Mark {
    process: Identity,
    quiet: bool,
    json: Option<PathBuf>,
    capture: Option<PathBuf>,
    /// The capture gets a look at the heap at the end.
    heap: bool,
}

/// A process: its number, and the time it was started, since the same number
/// may mean another process in another container or at another time. Both
/// stay the same across `exec`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Identity {
    /// Its number.
    pub number: u32,
    /// When it was started, in the system's own count.
    pub started: u64,
}

impl Identity {
    /// This process.
    pub fn current() -> Self {
        Identity {
            number: std::process::id(),
            started: start_time().unwrap_or(0),
        }
    }

    /// Is it this process?
    pub fn is_this_process(&self) -> bool {
        // The cheap test comes first.
        self.number == std::process::id() && *self == Identity::current()
    }
}

impl Mark {
    /// The mark that makes this process report.
    pub fn of_this_process(quiet: bool, json: Option<PathBuf>, capture: Option<PathBuf>) -> Self {
        Mark {
            process: Identity::current(),
            quiet,
            json,
            capture,
            heap: false,
        }
    }

    /// The same, with or without a look at the heap in the capture.
    pub fn with_heap(self, heap: bool) -> Self {
        Mark { heap, ..self }
    }

    /// The number of the process that reports.
    pub fn process(&self) -> u32 {
        self.process.number
    }

    /// The capture that it writes.
    pub fn capture(&self) -> Option<&Path> {
        self.capture.as_deref()
    }

    /// The value of [`MARK`]: process, start time, `q` for quiet and `h` for the heap,
    /// length of the JSON file's name. Then that name and the capture's, which may hold anything.
    pub fn to_environment(&self) -> OsString {
        let quiet = if self.quiet { "q" } else { "" };
        let heap = if self.heap { "h" } else { "" };
        let name = |path: &Option<PathBuf>| path.clone().unwrap_or_default().into_os_string();
        let json = name(&self.json);
        let mut value = OsString::from(format!(
            "{};{};{quiet}{heap};{};",
            self.process.number,
            self.process.started,
            json.len()
        ));
        value.push(json);
        value.push(name(&self.capture));
        value
    }

    /// Will anybody read the summary?
    fn has_summary(&self) -> bool {
        !self.quiet || self.json.is_some()
    }

    /// What [`Mark::to_environment`] has made.
    pub fn from_environment(value: &OsStr) -> Option<Self> {
        let mut parts = value.as_bytes().splitn(5, |byte| *byte == b';');
        let mut text = || std::str::from_utf8(parts.next()?).ok();
        let process = Identity {
            number: text()?.parse().ok()?,
            started: text()?.parse().ok()?,
        };
        let flags = text()?;
        let (quiet, heap) = (flags.contains('q'), flags.contains('h'));
        let length = text()?.parse().ok()?;
        let (json, capture) = parts.next()?.split_at_checked(length)?;
        let path = |name: &[u8]| {
            (!name.is_empty()).then(|| PathBuf::from(OsString::from_vec(name.to_vec())))
        };
        Some(Mark {
            process,
            quiet,
            json: path(json),
            capture: path(capture),
            heap,
        })
    }
}

/// The interpreter's version: "3.12.1".
pub fn python_version() -> String {
    // SAFETY: returns a static text, such as "3.12.1 (main, …) [GCC …]".
    let text = unsafe { std::ffi::CStr::from_ptr(Py_GetVersion()) }.to_string_lossy();
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_string()
}

/// Field 22 of `/proc/self/stat`. The name of the program (field 2) may hold
/// spaces and parentheses, so counting starts after its last parenthesis.
fn start_time() -> Option<u64> {
    let line = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

struct Run {
    mark: Mark,
    python: String,
    begun: Instant,
    /// Whether wrasse's collector is at work, not CPython's own.
    collects: bool,
}

static RUN: OnceLock<Run> = OnceLock::new();
static PROFILE: Mutex<Option<Profile>> = Mutex::new(None);

/// The profile, read while the interpreter lived.
struct Profile {
    trace: Trace,
    /// The peak before it was read, for reading it takes memory too.
    peak_rss_bytes: u64,
}

fn profile_read() -> MutexGuard<'static, Option<Profile>> {
    PROFILE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prepares the report, if this is the process that `wrasse run` started.
/// Called at the end of wrasse's start in each interpreter; leaves no
/// exception set.
///
/// # Safety
/// The caller holds the GIL of a live interpreter.
pub unsafe fn boot() {
    let Some(mark) = std::env::var_os(MARK)
        .as_deref()
        .and_then(Mark::from_environment)
    else {
        return;
    };
    // SAFETY: the GIL is held.
    let is_main = unsafe { PyInterpreterState_Get() == PyInterpreterState_Main() };
    // Children see the mark too.
    let is_marked = mark.process.is_this_process();
    let has_summary = mark.has_summary();
    let is_silent =
        !has_summary && mark.capture.is_none() && std::env::var_os(doctor::VARIABLE).is_none();
    if !is_main || !is_marked || is_silent {
        return;
    }
    let python = python_version();
    // SAFETY: the GIL is held.
    unsafe { doctor::boot(&python) };
    // SAFETY: the GIL is held.
    let collects = unsafe { interpreter::current() }.is_some();
    if RUN
        .set(Run {
            mark,
            python,
            begun: Instant::now(),
            collects,
        })
        .is_err()
    {
        return;
    }
    if has_summary {
        statistics::enable_type_census();
    }
    begin_capture();
    // SAFETY: the GIL is held. The callbacks are functions of this library,
    // which is never unloaded.
    unsafe {
        if (profile::is_active() || doctor::is_on()) && !at_exit(&raw mut READ_PROFILE) {
            // Only the profile is lost, and without memory for one function
            // object the program will not get far either.
            PyErr_Clear();
        }
        if !quick_exit::watch() {
            // Only the summary of a program that ends by os._exit() is lost.
            PyErr_Clear();
        }
        if Py_AtExit(Some(finish)) != 0 {
            print(
                "wrasse: no summary of this run: the interpreter has no room for another exit function\n",
            );
        }
    }
}

static mut READ_PROFILE: PyMethodDef = PyMethodDef {
    ml_name: c"read_profile".as_ptr(),
    ml_meth: PyMethodDefPointer {
        PyCFunction: read_profile,
    },
    ml_flags: METH_NOARGS,
    ml_doc: ptr::null(),
};

/// Registers a function with `atexit`. The module is taken out of
/// `sys.modules` again if it was not there, and then held for good, or it would be
/// garbage: the program is to find what it would find without wrasse. False, with an
/// exception set, if it failed.
///
/// # Safety
/// The caller holds the GIL; the definition is a static.
pub unsafe fn at_exit(definition: *mut PyMethodDef) -> bool {
    // SAFETY: the GIL is held; every reference taken is released, but for that to a module
    // which is held on purpose, and null is never passed on.
    unsafe {
        let modules = PyImport_GetModuleDict();
        let name = c"atexit".as_ptr();
        let was_imported = !PyDict_GetItemString(modules, name).is_null();
        let module = PyImport_ImportModule(name);
        if module.is_null() {
            return false;
        }
        let mut registered = false;
        let callback = PyCFunction_New(definition, ptr::null_mut());
        if !callback.is_null() {
            let result = PyObject_CallMethod(module, c"register".as_ptr(), c"O".as_ptr(), callback);
            registered = !result.is_null();
            Py_XDECREF(result);
            Py_DECREF(callback);
        }
        if !was_imported && registered {
            registered = PyDict_DelItemString(modules, name) == 0;
        } else {
            Py_DECREF(module);
        }
        registered
    }
}

unsafe extern "C" fn read_profile(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // A forked child inherits the callback, not the duty.
    if reporting().is_some() {
        doctor::at_exit();
    }
    if let Some(run) = reporting()
        && profile::is_active()
    {
        // SAFETY: called by the interpreter, with the GIL and no exception.
        unsafe { thread_names::refresh() };
        capture::take_last_sample();
        if run.mark.has_summary() {
            *profile_read() = Some(profile_now());
        }
        look_at_heap();
    }
    // SAFETY: returns a new reference to None.
    unsafe { Py_NewRef(Py_None()) }
}

fn profile_now() -> Profile {
    let peak_rss_bytes = peak_resident_bytes();
    let (current_bytes, peak_bytes) = profile::totals();
    let snapshot = profile::snapshot();
    let top = profile::top_lines(&snapshot, TOP_LINES)
        .into_iter()
        .map(|each| TracedLine {
            file: each.file,
            line: each.line,
            bytes: each.bytes,
            blocks: each.blocks,
        });
    let trace = Trace {
        current_bytes,
        peak_bytes,
        top: top.collect(),
        tracebacks: if profile::frames() > 1 {
            tracebacks(&snapshot)
        } else {
            Vec::new()
        },
    };
    Profile {
        trace,
        peak_rss_bytes,
    }
}

fn tracebacks(snapshot: &Snapshot) -> Vec<Traceback> {
    let totals = profile::top_tracebacks(snapshot, TOP_TRACEBACKS).into_iter();
    let tracebacks = totals.map(|each| Traceback {
        bytes: each.bytes,
        blocks: each.blocks,
        frames: each
            .frames
            .into_iter()
            .map(|(file, line)| Frame { file, line })
            .collect(),
    });
    tracebacks.collect()
}

/// Adds what is on the heap to the capture, if that is asked for.
fn look_at_heap() {
    if capture::is_on()
        && reporting().is_some_and(|run| run.mark.heap)
        // SAFETY: called by `atexit`, with the GIL and no exception set.
        && let Err(reason) = unsafe { heap_graph::write_sections() }
    {
        print(&format!(
            "wrasse: no look at the heap in the capture: {reason}\n"
        ));
    }
}

/// Begins the capture, if one is asked for.
fn begin_capture() {
    let Some(run) = reporting() else { return };
    let Some(path) = &run.mark.capture else {
        return;
    };
    let begun = if profile::is_active() {
        capture::begin(path, profile::frames())
    } else {
        Err("the profile is off".into())
    };
    if let Err(reason) = begun {
        print(&format!("wrasse: no capture of this run: {reason}\n"));
    }
    // For whoever looks on: how near the program is to it.
    if let Some(limit) = small_objects::installed().and_then(|region| region.limit().get()) {
        capture::section("limit", limit.to_string().as_bytes());
    }
}

fn reporting() -> Option<&'static Run> {
    RUN.get()
        .filter(|run| run.mark.process.number == std::process::id())
}

fn collector() -> Collector {
    let report = statistics::snapshot();
    let generations = report.generations.iter().map(|each| Generation {
        collections: each.collections,
        collected: each.collected,
        uncollectable: each.uncollectable,
        seconds: each.seconds,
    });
    let cycle_types = report
        .cycle_types
        .into_iter()
        .map(|(name, objects)| CycleType { name, objects });
    Collector {
        generations: generations.collect(),
        total_pause_seconds: report.total_pause_seconds,
        longest_pause_seconds: report.longest_pause_seconds,
        cycle_types: cycle_types.collect(),
    }
}

fn allocator() -> Option<Allocator> {
    let region = small_objects::installed()?;
    let limit = region.limit();
    Some(Allocator {
        peak_bytes: limit.peak() as u64,
        given_back_bytes: region.given_back() as u64,
        limit_bytes: limit.get().map(|bytes| bytes as u64),
        refused: limit.refused() as u64,
    })
}

/// Prints and writes the summary. Called once the interpreter is gone: no
/// Python from here on.
extern "C" fn finish() {
    let Some(run) = reporting() else { return };
    capture::finish();
    doctor::finish();
    let (peak_rss_bytes, trace) = match profile_read().take() {
        Some(profile) => (profile.peak_rss_bytes, Some(profile.trace)),
        None => (peak_resident_bytes(), None),
    };
    let summary = Summary {
        schema: SCHEMA,
        wrasse: env!("CARGO_PKG_VERSION").to_string(),
        python: run.python.clone(),
        wall_seconds: run.begun.elapsed().as_secs_f64(),
        peak_rss_bytes,
        collector: run.collects.then(collector),
        allocator: allocator(),
        trace,
    };
    if let Some(path) = &run.mark.json
        && let Err(error) = write_destination(path, summary.to_json().as_bytes())
    {
        print(&format!("wrasse: {error}\n"));
    }
    if !run.mark.quiet {
        print(&summary.to_text());
    }
}

/// The most memory this program held. Read from `/proc`, where it starts anew
/// with `exec`; what `getrusage` counts would include `wrasse run` itself.
fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kibibytes) = kibibytes {
        return kibibytes * 1024;
    }
    // SAFETY: a zeroed `rusage` is a valid value to be filled in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024
}

/// Writes to standard error, in one piece where the system allows it. Whoever
/// read it may be gone: that must not turn the exit code into a SIGPIPE.
fn print(text: &str) {
    let mut rest = text.as_bytes();
    // SAFETY: only the disposition of one signal changes, and it is put back.
    // The slice is valid for its length.
    unsafe {
        let before = libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        while !rest.is_empty() {
            let written = libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len());
            match usize::try_from(written) {
                Ok(count) => rest = &rest[count..],
                Err(_)
                    if std::io::Error::last_os_error().kind()
                        == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if before != libc::SIG_ERR {
            libc::signal(libc::SIGPIPE, before);
        }
    }
}

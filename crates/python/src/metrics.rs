//! `wrasse.metrics()`: what a monitoring system asks a running process for.
//!
//! One list of families, from which come a dict, Prometheus's text and the
//! samples of other collectors. Nothing is counted for it: the figures are those
//! that collector, allocator and tracer keep anyway.

use std::fmt::Write as _;
use std::ptr;

use pyo3_ffi::*;

use crate::module::{Shared, method, string};
use crate::{interpreter, process, profile, small_objects, statistics};

/// The functions of `_core` that this file adds.
pub static METHODS: Shared<[PyMethodDef; 3]> = Shared([
    method(
        c"metrics",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: metrics,
        },
        c"metrics(): (name, kind, help, unit, [(generation or None, value)]) of each family.",
    ),
    method(
        c"metrics_text",
        METH_NOARGS,
        PyMethodDefPointer {
            PyCFunction: metrics_text,
        },
        c"metrics_text(): the same in Prometheus's text format.",
    ),
    PyMethodDef::zeroed(),
]);

/// What only grows, and what goes up and down.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// Figures of one meaning.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    unit: &'static str,
    /// By generation of the collector, or one for the process.
    values: Vec<(Option<usize>, f64)>,
}

fn families(collects: bool) -> Vec<Family> {
    let mut all = Vec::new();
    let mut add = |name, kind, help, unit, values| {
        all.push(Family {
            name,
            kind,
            help,
            unit,
            values,
        });
    };
    let one = |value: u64| vec![(None, value as f64)];
    if let Some(bytes) = process::resident_bytes() {
        let help = "Physical memory of the process.";
        add(
            "wrasse_resident_bytes",
            Kind::Gauge,
            help,
            "bytes",
            one(bytes as u64),
        );
    }
    if collects {
        let report = statistics::snapshot();
        let each = |value: fn(&statistics::GenerationReport) -> f64| {
            let generations = report.generations.iter().enumerate();
            generations
                .map(|(number, generation)| (Some(number), value(generation)))
                .collect::<Vec<_>>()
        };
        add(
            "wrasse_gc_collections_total",
            Kind::Counter,
            "Garbage collections.",
            "",
            each(|generation| generation.collections as f64),
        );
        add(
            "wrasse_gc_objects_collected_total",
            Kind::Counter,
            "Objects that garbage collections have freed.",
            "",
            each(|generation| generation.collected as f64),
        );
        add(
            "wrasse_gc_objects_uncollectable_total",
            Kind::Counter,
            "Objects that garbage collections could not free.",
            "",
            each(|generation| generation.uncollectable as f64),
        );
        add(
            "wrasse_gc_pause_seconds_total",
            Kind::Counter,
            "Time that the program stood still for garbage collections.",
            "seconds",
            each(|generation| generation.seconds),
        );
        add(
            "wrasse_gc_longest_pause_seconds",
            Kind::Gauge,
            "The longest garbage collection so far.",
            "seconds",
            vec![(None, report.longest_pause_seconds)],
        );
    }
    if let Some(region) = small_objects::installed() {
        let stats = region.stats();
        let gauges: [(_, _, _, usize); 6] = [
            (
                "wrasse_allocator_bytes",
                "Bytes in blocks that Python's objects use.",
                "bytes",
                stats.bytes + stats.large_bytes,
            ),
            (
                "wrasse_allocator_blocks",
                "Blocks that Python's objects use.",
                "",
                stats.blocks + stats.large_blocks,
            ),
            (
                "wrasse_allocator_committed_bytes",
                "Bytes of pools that have memory.",
                "bytes",
                stats.committed,
            ),
            (
                "wrasse_allocator_kept_bytes",
                "Bytes of empty pools kept for later.",
                "bytes",
                stats.kept_bytes(),
            ),
            (
                "wrasse_allocator_taken_bytes",
                "Bytes that count for the memory limit.",
                "bytes",
                stats.taken,
            ),
            (
                "wrasse_allocator_peak_bytes",
                "The most bytes that counted for the memory limit.",
                "bytes",
                stats.peak,
            ),
        ];
        for (name, help, unit, value) in gauges {
            add(name, Kind::Gauge, help, unit, one(value as u64));
        }
        if let Some(limit) = region.limit().get() {
            let help = "The memory limit.";
            add(
                "wrasse_allocator_limit_bytes",
                Kind::Gauge,
                help,
                "bytes",
                one(limit as u64),
            );
        }
        add(
            "wrasse_allocator_refused_total",
            Kind::Counter,
            "Requests that were refused for the memory limit.",
            "",
            one(stats.refused as u64),
        );
    }
    if profile::is_active() {
        let (live, peak) = profile::totals();
        let help = "Bytes in traced blocks that are live.";
        add("wrasse_traced_bytes", Kind::Gauge, help, "bytes", one(live));
        let help = "The most bytes in traced blocks that were live.";
        add(
            "wrasse_traced_peak_bytes",
            Kind::Gauge,
            help,
            "bytes",
            one(peak),
        );
    }
    all
}

/// The families of this process, seen from the running interpreter.
unsafe fn current() -> Vec<Family> {
    // SAFETY: the GIL is held by every caller.
    families(unsafe { interpreter::current() }.is_some())
}

unsafe extern "C" fn metrics(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: called from Python; formats and arguments agree.
    unsafe {
        let list = PyList_New(0);
        for family in current() {
            let values = PyList_New(0);
            let mut good = !list.is_null() && !values.is_null();
            for (generation, value) in family.values {
                let generation = match generation {
                    Some(number) => PyUnicode_FromFormat(c"%d".as_ptr(), number as i32),
                    None => Py_NewRef(Py_None()),
                };
                let pair = Py_BuildValue(c"(Nd)".as_ptr(), generation, value);
                good = good && !pair.is_null() && PyList_Append(values, pair) == 0;
                Py_XDECREF(pair);
            }
            let item = Py_BuildValue(
                c"(NNNNN)".as_ptr(),
                string(family.name),
                string(family.kind.word()),
                string(family.help),
                string(family.unit),
                values,
            );
            good = good && !item.is_null() && PyList_Append(list, item) == 0;
            Py_XDECREF(item);
            if !good {
                Py_XDECREF(list);
                return ptr::null_mut();
            }
        }
        list
    }
}

unsafe extern "C" fn metrics_text(_module: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    let mut out = String::new();
    // SAFETY: called from Python.
    for family in unsafe { current() } {
        let (name, kind) = (family.name, family.kind.word());
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
        for (generation, value) in family.values {
            let _ = match generation {
                Some(number) => writeln!(out, "{name}{{generation=\"{number}\"}} {value}"),
                None => writeln!(out, "{name} {value}"),
            };
        }
    }
    // SAFETY: called from Python; the text is copied.
    unsafe { string(&out) }
}

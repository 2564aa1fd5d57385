//! The tracer's tracebacks as lines.

use wrasse_doctor::Observations;
use wrasse_doctor::observations::Line;
use wrasse_tracer::{LocationId, Locations, TracebackId};

use crate::frame;
use crate::hooks;

/// Lines of a stack that are kept.
const FRAMES: usize = 16;
/// How the files of what imports modules are called.
const IMPORT: &str = "<frozen importlib";

/// The lines of a traceback, innermost first.
pub fn of_traceback(id: TracebackId) -> Vec<Line> {
    let state = hooks::reading();
    let Some(state) = state.as_ref() else {
        return Vec::new();
    };
    let locations = state.tracer.locations();
    let frames = state.tracer.tracebacks().frames(id).iter();
    frames.map(|location| line(locations, *location)).collect()
}

/// The innermost line of a traceback.
pub fn innermost(id: TracebackId) -> Option<Line> {
    let state = hooks::reading();
    let tracer = &state.as_ref()?.tracer;
    let innermost = tracer.tracebacks().frames(id).first()?;
    Some(line(tracer.locations(), *innermost))
}

/// Whether a module was being imported.
pub fn is_import(id: TracebackId) -> bool {
    let lines = of_traceback(id);
    lines.iter().any(|line| line.file.starts_with(IMPORT))
}

/// The traceback of a live block.
pub fn traceback_of_block(block: usize) -> Option<TracebackId> {
    let state = hooks::reading();
    Some(state.as_ref()?.tracer.block(block)?.traceback)
}

fn line(locations: &Locations, location: LocationId) -> Line {
    let (file, line) = locations.resolve(location);
    Line {
        file: String::from_utf8_lossy(locations.name(file)).into_owned(),
        line,
    }
}

/// The lines that this thread is executing, innermost first.
pub fn of_this_thread() -> Vec<Line> {
    // SAFETY: called with the GIL held; frames and code objects live as long as
    // the thread stands here.
    unsafe {
        let seen = frame::read_all(frame::current_thread()).unwrap_or_default();
        let lines = seen.iter().take(FRAMES).map(|each| Line {
            file: String::from_utf8_lossy(&each.file).into_owned(),
            line: each.line,
        });
        lines.collect()
    }
}

/// The functions of a traceback's lines, as far as they are known.
pub fn functions_of(id: TracebackId) -> Vec<String> {
    let state = hooks::reading();
    let Some(state) = state.as_ref() else {
        return Vec::new();
    };
    let locations = state.tracer.locations();
    let frames = state.tracer.tracebacks().frames(id).iter();
    let name = |location: &LocationId| {
        let name = locations.function(*location).unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    frames.map(name).collect()
}

/// The function of the line that the user would change; `places` knows which
/// files are libraries.
pub fn own_function(id: TracebackId, places: &Observations) -> Option<String> {
    let lines = of_traceback(id);
    let own = places.own_line(&lines)?;
    let index = lines.iter().position(|line| line == own)?;
    functions_of(id).into_iter().nth(index)
}

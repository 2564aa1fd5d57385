//! `wrasse run` and `wrasse lines`: what the options say becomes the
//! environment of the program.

use std::ffi::OsString;
use std::path::Path;

use super::interpreter::{Interpreter, check_start, interpreter_command, replace_process};
use super::program::{Program, check_apart, check_program, is_number, program};
use super::reports::destination;
use super::{LinesOptions, RunOptions};
use crate::{lines, options, run};

/// Frames of each traceback in a capture, unless the user says how many.
const CAPTURE_FRAMES: u16 = 25;

pub(super) fn run_program(
    options: &RunOptions,
    part: &[OsString],
    interpreter: &Interpreter,
    mark_of_lines: Option<(&str, OsString)>,
) -> Result<std::convert::Infallible, String> {
    let (program, arguments) = program(part, "run")?;
    check_program(&program).map_err(|error| match &program {
        Program::Script(name) if options.trace.is_some() && is_number(name) => {
            let number = name.display();
            format!("{error} (for {number} frames: --trace={number})")
        }
        _ => error,
    })?;
    if options.output.is_some() && !matches!(program, Program::Notebook(_)) {
        return Err("--output is for notebooks: a program writes its own files".into());
    }
    let json = destination(options.json.as_deref())?;
    let output = destination(options.output.as_deref())?;
    let capture = destination(options.capture.as_deref())?;
    // A notebook with its outputs may take its own place.
    let output_apart = output.as_deref().filter(|path| !program.is_read_from(path));
    check_apart(
        &program,
        &[
            ("--json", json.as_deref()),
            ("--output", output_apart),
            ("-o", capture.as_deref()),
        ],
    )?;
    check_capture(capture.as_deref())?;
    check_start(interpreter)?;
    let present = Present::find()?;
    let frames = match options.trace {
        None if capture.is_some() && !present.traces => Some(CAPTURE_FRAMES),
        frames => frames,
    };
    let mut wanted = environment_value(&present.value, frames, options.limit);
    if options.gc_log && !present.value.split(',').any(|word| word.trim() == "gc-log") {
        wanted.push_str(",gc-log");
    }
    if let Some(pause) = options.pause_target {
        // What comes later holds.
        wanted.push_str(&format!(",pause={}s", pause.as_secs_f64()));
    }

    let command = interpreter_command(program, arguments, output, interpreter);
    // Closed by whoever started this: the program's own files may get its number.
    // SAFETY: asks about a descriptor, open or not.
    let is_closed = unsafe { libc::fcntl(libc::STDERR_FILENO, libc::F_GETFD) } == -1;
    let mark = run::Mark::of_this_process(options.quiet || is_closed, json, capture)
        .with_heap(options.heap)
        .to_environment();
    let mut changes = vec![("WRASSE", wanted.into()), (run::MARK, mark)];
    changes.extend(mark_of_lines);
    Err(replace_process(&command, &changes))
}

/// `wrasse lines`: the program runs as with `wrasse run --trace --quiet`.
pub(super) fn run_lines(
    options: &LinesOptions,
    part: &[OsString],
    interpreter: &Interpreter,
) -> Result<std::convert::Infallible, String> {
    let output = destination(options.output.as_deref())?;
    if let (Some(path), Ok((program, _))) = (&output, program(part, "lines"))
        && program.is_read_from(path)
    {
        return Err("-o would overwrite the program itself: name another file".into());
    }
    let run = RunOptions {
        trace: Some(1),
        quiet: true,
        ..RunOptions::default()
    };
    let mark = lines::environment_value(options.precision.into(), options.json, output);
    run_program(&run, part, interpreter, Some((lines::MARK, mark)))
}

/// A capture grows while the program runs: no pipe, no device.
pub(super) fn check_capture(path: Option<&Path>) -> Result<(), String> {
    match path {
        Some(path) if path.exists() && !path.is_file() => {
            Err("-o needs a plain file: a capture is written while the program runs".into())
        }
        _ => Ok(()),
    }
}

/// What `WRASSE` asks for already.
pub(super) struct Present {
    pub(super) value: String,
    pub(super) traces: bool,
}

impl Present {
    /// An empty reason if it cannot be understood: wrasse has started in this process
    /// too, and has said what is wrong.
    pub(super) fn find() -> Result<Self, String> {
        let value = std::env::var_os("WRASSE").unwrap_or_default();
        let chosen = options::parse(&value).map_err(|_| String::new())?;
        Ok(Present {
            value: value.to_string_lossy().into_owned(),
            traces: chosen.is_some_and(|chosen| chosen.trace.is_some()),
        })
    }
}

/// The value of `WRASSE` for the program: everything, with what the user already
/// asked for, and `trace` and `limit` as the options say.
pub(super) fn environment_value(present: &str, trace: Option<u16>, limit: Option<usize>) -> String {
    let mut words = vec!["1".to_string()];
    for word in present.split(',').map(str::trim) {
        let replaced = match word.split('=').next() {
            Some("trace") => trace.is_some(),
            Some("limit") => limit.is_some(),
            _ => false,
        };
        let implied = matches!(word, "" | "0" | "1" | "on" | "off" | "gc" | "tracemalloc");
        if !replaced && !implied && !words.iter().any(|each| each == word) {
            words.push(word.to_string());
        }
    }
    words.extend(trace.map(|frames| format!("trace={frames}")));
    words.extend(limit.map(|bytes| format!("limit={bytes}")));
    words.join(",")
}

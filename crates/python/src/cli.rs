//! The command line: reads `wrasse run …`, checks what can be checked, and
//! replaces this process by the interpreter that runs the program.
//!
//! wrasse does not imitate `python`. It hands the program to the very
//! interpreter it was started with, so `sys.argv`, `__main__`, tracebacks,
//! standard input, signals and the exit code are Python's own. What wrasse is
//! to do travels in the environment: `WRASSE` for the whole process tree, and
//! [`run::MARK`](crate::run::MARK) for the one process that reports.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use wrasse_report::reason;

use crate::{boot, lines, options, run};

mod child;
mod doctor;
mod entry;
mod interrupt;
mod live;
mod reports;

use reports::destination;

pub use entry::{python_main, python_write, string_of};

/// Exit code of everything that is wrong before the program starts.
const MISUSE: i32 = 2;
/// Frames of each traceback in a capture, unless the user says how many.
const CAPTURE_FRAMES: u16 = 25;
/// The file through which wrasse starts together with the interpreter.
const START_FILE: &str = "00_wrasse.pth";

const USAGE: &str =
    "wrasse run [OPTIONS] (SCRIPT | NOTEBOOK.ipynb | -m MODULE | -c CODE | -) [ARGUMENTS]...";

const LINES_USAGE: &str =
    "wrasse lines [OPTIONS] (SCRIPT | NOTEBOOK.ipynb | -m MODULE | -c CODE | -) [ARGUMENTS]...";

const LINES_EXAMPLES: &str = "\
The program marks its functions with @profile, which is a builtin while it runs.

  wrasse lines app.py --port 8000
  wrasse lines --json -o lines.json -m package.module

Exit code: the program's own; 2 when wrasse could not start it.";

const EXAMPLES: &str = "\
Examples:
  wrasse run app.py --port 8000         a script; everything after it is the script's own
  wrasse run -m http.server 8000        a module, as python -m
  wrasse run --trace app.py             also: which lines hold the memory at the end
  wrasse lines app.py                   what each line of its @profile functions does to memory
  wrasse run --limit 512MiB app.py      MemoryError instead of more memory than that
  wrasse run analysis.ipynb             a notebook (needs pip install 'wrasse[notebook]')
  wrasse run --output done.ipynb analysis.ipynb
  wrasse run --quiet --json memory.json app.py
  wrasse run -o app.wrasse app.py       a capture file, written while the program runs:
  wrasse table app.wrasse               its lines with the most memory
  wrasse export app.wrasse --format speedscope -o app.json

Exit code: the program's own; 2 when wrasse could not start it.";

/// Python's memory management, built in Rust: runs a Python program or
/// notebook on wrasse's garbage collector, allocator and allocation tracer, and
/// shows what its memory did.
#[derive(Parser)]
#[command(name = "wrasse", bin_name = "wrasse", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a program, then print what its memory did
    #[command(override_usage = USAGE, after_help = EXAMPLES)]
    Run(RunOptions),
    /// Run a program, then say what is wrong with its memory, where, and what the fix saves
    #[command(override_usage = doctor::USAGE, after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorOptions),
    /// Explain a rule of 'wrasse doctor', or list them all
    Explain(doctor::ExplainOptions),
    /// Run a program, then print what each line of its functions with @profile did to memory
    #[command(override_usage = LINES_USAGE, after_help = LINES_EXAMPLES)]
    Lines(LinesOptions),
    /// Show what the memory of a running program does
    #[command(override_usage = live::USAGE, after_help = live::EXAMPLES)]
    Live(live::LiveOptions),
    #[command(flatten)]
    Reading(reports::Reading),
}

#[derive(Args)]
struct LinesOptions {
    /// Digits after the point of a mebibyte
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=9))]
    precision: u8,
    /// As JSON, in bytes
    #[arg(long)]
    json: bool,
    /// Write the tables to FILE instead of standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args, Default)]
struct RunOptions {
    /// Record who allocates from the start, NFRAME frames deep (1 if not given)
    #[arg(long, value_name = "NFRAME", num_args = 0..=1, require_equals = true,
          default_missing_value = "1", value_parser = frames)]
    trace: Option<u16>,
    /// Raise MemoryError where Python's own memory would grow beyond SIZE (512MiB)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    limit: Option<usize>,
    /// Keep pauses for collections under TIME where possible (10ms)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pause_target: Option<Duration>,
    /// Say on standard error, in a line for each, what collections did
    #[arg(long)]
    gc_log: bool,
    /// Do not print the summary at the end
    #[arg(long)]
    quiet: bool,
    /// Write the summary to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what the memory did to FILE while the program runs, for the other commands
    #[arg(short = 'o', long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// With -o: look at all objects when the program has ended, for types and what keeps them alive
    #[arg(long, requires = "capture")]
    heap: bool,
    /// Write the notebook with its outputs to FILE
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is to be run: the part of the command line that is not wrasse's.
#[derive(Debug, PartialEq)]
enum Program {
    Script(OsString),
    Notebook(OsString),
    Module(OsString),
    Code(OsString),
    StandardInput,
}

impl Program {
    /// The file it is read from, where it is named by its path.
    fn file(&self) -> Option<&Path> {
        match self {
            Program::Script(name) | Program::Notebook(name) => Some(Path::new(name)),
            Program::Module(_) | Program::Code(_) | Program::StandardInput => None,
        }
    }

    fn is_read_from(&self, path: &Path) -> bool {
        self.file().is_some_and(|own| is_same_file(path, own))
    }
}

/// The interpreter that runs this process and will run the program.
pub struct Interpreter {
    /// `sys.executable`.
    pub executable: OsString,
    /// `sys.orig_argv`: the options in it (`-X dev`) are the program's too.
    pub original_arguments: Vec<OsString>,
    /// The directories whose `.pth` files are read at the start.
    pub site_directories: Vec<OsString>,
}

/// Runs the command line `arguments`, whose first is wrasse's own name.
/// What is wrong is told in one line (empty where it was told before). Returns the exit code, unless the program takes this process's place.
pub fn main(arguments: &[OsString], interpreter: &Interpreter) -> i32 {
    let (own, program) = split(arguments);
    let refusal = match CommandLine::try_parse_from(own) {
        Ok(CommandLine {
            command: Command::Run(options),
        }) => match run_program(&options, program, interpreter, None) {
            Ok(never) => match never {},
            Err(refusal) => refusal,
        },
        Ok(CommandLine {
            command: Command::Lines(options),
        }) => match run_lines(&options, program, interpreter) {
            Ok(never) => match never {},
            Err(refusal) => refusal,
        },
        Ok(CommandLine {
            command: Command::Doctor(options),
        }) => match doctor::run(&options, program, interpreter) {
            Ok(code) => return code,
            Err(refusal) => refusal,
        },
        Ok(CommandLine {
            command: Command::Live(options),
        }) => match live::run(options, own, program, interpreter) {
            Ok(code) => return code,
            Err(refusal) => refusal,
        },
        Ok(CommandLine {
            command: Command::Explain(options),
        }) => match doctor::explain(&options) {
            Ok(()) => return 0,
            Err(refusal) => refusal,
        },
        Ok(CommandLine {
            command: Command::Reading(report),
        }) => match reports::run(&report) {
            Ok(()) => return 0,
            Err(refusal) => refusal,
        },
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                return 0;
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                return MISUSE;
            }
            _ => one_line(&error, own),
        },
    };
    if !refusal.is_empty() {
        boot::say(&refusal);
    }
    MISUSE
}

/// The first paragraph of clap's message as one line; the rest repeats the usage.
fn one_line(error: &clap::Error, own: &[OsString]) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let first = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    if error.kind() == ErrorKind::InvalidSubcommand {
        let hint = "to run a program: 'wrasse run PROGRAM'";
        return format!("{}; {hint}", first.trim_start_matches("error: "));
    }
    let first = first.trim_start_matches("error: ");
    let command = match own.get(1).and_then(|command| command.to_str()) {
        Some(command) if !command.starts_with('-') => command,
        _ => "run",
    };
    if command == "run" && error.kind() == ErrorKind::UnknownArgument {
        return format!(
            "{first} (see 'wrasse run --help'; options of the interpreter go to it: 'python -u -m wrasse run ...')"
        );
    }
    format!("{first} (see 'wrasse {command} --help')")
}

fn size(text: &str) -> Result<usize, String> {
    options::size_in_bytes(text).ok_or_else(|| options::SIZE_WORDS.into())
}

fn time(text: &str) -> Result<Duration, String> {
    options::duration(text).ok_or_else(|| options::TIME_WORDS.into())
}

fn frames(text: &str) -> Result<u16, String> {
    options::frames(text).ok_or_else(|| options::FRAMES_WORDS.into())
}

/// Splits the command line into wrasse's part and the program with its
/// arguments. Done before clap sees it, so that whatever follows the program
/// (options that look like ours, `--`, bytes that are not UTF-8) stays as is.
fn split(arguments: &[OsString]) -> (&[OsString], &[OsString]) {
    let Some(name) = ["run", "lines", "doctor", "live"]
        .into_iter()
        .find(|name| arguments.get(1).is_some_and(|command| command == name))
    else {
        return (arguments, &[]);
    };
    let mut command = CommandLine::command();
    command.build();
    let takes_value = |option: &OsStr| {
        let own = command.find_subcommand(name);
        own.into_iter()
            .flat_map(clap::Command::get_arguments)
            .any(|each| {
                let name = each.get_long().unwrap_or_default();
                let short = each.get_short().map(|letter| format!("-{letter}"));
                let is_this = option.as_bytes().strip_prefix(b"--") == Some(name.as_bytes())
                    || short.is_some_and(|short| option == short.as_str());
                is_this
                    && each
                        .get_num_args()
                        .is_some_and(|count| count.min_values() > 0)
            })
    };
    let mut position = 2;
    while let Some(argument) = arguments.get(position) {
        let bytes = argument.as_bytes();
        let is_option = bytes.starts_with(b"-") && bytes != b"-";
        if !is_option || bytes == b"--" || bytes.starts_with(b"-m") || bytes.starts_with(b"-c") {
            break;
        }
        position += if takes_value(argument) { 2 } else { 1 };
    }
    arguments.split_at(position.min(arguments.len()))
}

/// Names the program that `part`, the second half of [`split`], asks for; `command`
/// is the one that says more.
fn program<'a>(part: &'a [OsString], command: &str) -> Result<(Program, &'a [OsString]), String> {
    let nothing = || {
        format!(
            "nothing to run: name a script, a notebook, -m MODULE, -c CODE or - (see 'wrasse {command} --help')"
        )
    };
    let (first, rest) = part.split_first().ok_or_else(nothing)?;
    for (option, what, kind) in [
        (
            b"-m",
            "a module",
            Program::Module as fn(OsString) -> Program,
        ),
        (b"-c", "code", Program::Code),
    ] {
        let Some(attached) = first.as_bytes().strip_prefix(option) else {
            continue;
        };
        if !attached.is_empty() {
            return Ok((kind(OsStr::from_bytes(attached).into()), rest));
        }
        let Some((value, rest)) = rest.split_first() else {
            return Err(format!("{} needs {what} after it", first.display()));
        };
        return Ok((kind(value.clone()), rest));
    }
    if first == "-" {
        return Ok((Program::StandardInput, rest));
    }
    let (path, rest) = match rest.split_first() {
        Some((path, rest)) if first == "--" => (path, rest),
        None if first == "--" => return Err(nothing()),
        _ => (first, rest),
    };
    let is_notebook = Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "ipynb");
    let kind = if is_notebook {
        Program::Notebook
    } else {
        Program::Script
    };
    Ok((kind(path.clone()), rest))
}

/// `wrasse lines`: the program runs as with `wrasse run --trace --quiet`.
fn run_lines(
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
fn check_capture(path: Option<&Path>) -> Result<(), String> {
    match path {
        Some(path) if path.exists() && !path.is_file() => {
            Err("-o needs a plain file: a capture is written while the program runs".into())
        }
        _ => Ok(()),
    }
}

fn run_program(
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

/// The command that has the interpreter run `program`.
fn interpreter_command(
    program: Program,
    arguments: &[OsString],
    output: Option<PathBuf>,
    interpreter: &Interpreter,
) -> Vec<OsString> {
    let mut command = vec![interpreter.executable.clone()];
    command.extend(interpreter_options(&interpreter.original_arguments));
    match program {
        Program::Module(name) => command.extend(["-m".into(), name]),
        Program::Code(code) => command.extend(["-c".into(), code]),
        Program::StandardInput => command.push("-".into()),
        Program::Notebook(path) => {
            command.extend(["-m".into(), "wrasse.notebook".into()]);
            if let Some(output) = output {
                command.extend(["--output".into(), output.into()]);
            }
            command.extend(["--".into(), path]);
        }
        Program::Script(path) => {
            if path.as_bytes().starts_with(b"-") {
                command.push("--".into());
            }
            command.push(path);
        }
    }
    command.extend_from_slice(arguments);
    command
}

/// Says early, in one line, what Python would say late or in its own words.
fn check_program(program: &Program) -> Result<(), String> {
    let Some(path) = program.file() else {
        return Ok(());
    };
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("no such file: {shown}"),
        _ => format!("cannot read {shown}: {}", reason(&error)),
    })?;
    if doctor::is_capture(path) {
        return Err(format!(
            "{shown} is a capture, not a program: 'wrasse stats {shown}' says what is in it"
        ));
    }
    if found.is_dir() {
        let has_main = ["__main__.py", "__main__.pyc"]
            .iter()
            .any(|main| path.join(main).is_file());
        if matches!(program, Program::Notebook(_)) || !has_main {
            return Err(format!(
                "{shown} is a directory without a __main__.py: name a script in it"
            ));
        }
    } else if found.is_file() {
        // Opening a pipe would take its only reader's place: plain files only.
        File::open(path).map_err(|error| format!("cannot read {shown}: {}", reason(&error)))?;
    }
    Ok(())
}

/// No file is written twice, and none in the place of the program.
fn check_apart(program: &Program, files: &[(&str, Option<&Path>)]) -> Result<(), String> {
    let mut named: Vec<(&str, &Path)> = Vec::new();
    for &(option, file) in files {
        let Some(file) = file else { continue };
        if program.is_read_from(file) {
            return Err(format!(
                "{option} would overwrite the program itself: name another file"
            ));
        }
        if let Some((other, _)) = named.iter().find(|(_, other)| is_same_file(file, other)) {
            return Err(format!("{other} and {option} name the same file"));
        }
        named.push((option, file));
    }
    Ok(())
}

/// Are they one path, or one plain file, whatever it is called?
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((found.dev(), found.ino()))
    };
    one == other || identity(one).is_some_and(|file| identity(other) == Some(file))
}

fn is_number(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|text| text.parse::<u16>().is_ok())
}

/// What `WRASSE` asks for already.
struct Present {
    value: String,
    traces: bool,
}

impl Present {
    /// An empty reason if it cannot be understood: wrasse has started in this process
    /// too, and has said what is wrong.
    fn find() -> Result<Self, String> {
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
fn environment_value(present: &str, trace: Option<u16>, limit: Option<usize>) -> String {
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

/// wrasse starts with the interpreter through a file in a site directory:
/// without it the program would silently run on stock memory management.
fn check_start(interpreter: &Interpreter) -> Result<(), String> {
    if interpreter.executable.is_empty() {
        return Err("this interpreter does not know its own path (sys.executable is empty), so it cannot be started again".into());
    }
    let present = interpreter
        .site_directories
        .iter()
        .any(|directory| Path::new(directory).join(START_FILE).is_file());
    if present {
        return Ok(());
    }
    Err(format!(
        "{} does not start wrasse: no {START_FILE} in its site-packages (or -S was given); install with '{} -m pip install wrasse'",
        interpreter.executable.display(),
        interpreter.executable.display()
    ))
}

/// The interpreter's own options among its arguments: `-X dev -W error` of
/// `python -X dev -W error -m wrasse run …`.
fn interpreter_options(original: &[OsString]) -> Vec<OsString> {
    let mut options = Vec::new();
    let mut rest = original.iter().skip(1);
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--check-hash-based-pycs" {
            options.push(argument.clone());
            options.extend(rest.next().cloned());
            continue;
        }
        let Some(letters) = bytes.strip_prefix(b"-") else {
            break;
        };
        if letters.is_empty() || letters.starts_with(b"-") {
            break;
        }
        // Letters may be joined: -Im, -bb, -Wd. The first that takes a value
        // ends its word; -m and -c end the options.
        match letters.iter().position(|letter| b"mcXW".contains(letter)) {
            None => options.push(argument.clone()),
            Some(at) if b"mc".contains(&letters[at]) => {
                if at > 0 {
                    options.push(OsString::from_vec(bytes[..=at].to_vec()));
                }
                break;
            }
            Some(at) => {
                options.push(argument.clone());
                if at + 1 == letters.len() {
                    options.extend(rest.next().cloned());
                }
            }
        }
    }
    options
}

/// Puts `command` in this process's place, with `changes` to its environment.
/// Returns only when that fails, with the reason.
///
/// `std`'s own `exec` would empty the signal mask and reset `SIGPIPE` first:
/// the program is to inherit what `python` would.
fn replace_process(command: &[OsString], changes: &[(&str, OsString)]) -> String {
    let shown = command[0].display();
    let is_changed = |name: &OsStr| changes.iter().any(|(changed, _)| name == *changed);
    let mut environment: Vec<OsString> = Vec::new();
    let pairs = std::env::vars_os().filter(|(name, _)| !is_changed(name));
    for (name, value) in pairs.chain(
        changes
            .iter()
            .map(|(name, value)| (name.into(), value.clone())),
    ) {
        let mut entry = name;
        entry.push("=");
        entry.push(value);
        environment.push(entry);
    }
    let strings = |all: &[OsString]| -> Result<Vec<CString>, String> {
        let convert = |each: &OsString| CString::new(each.as_bytes());
        all.iter()
            .map(convert)
            .collect::<Result<_, _>>()
            .map_err(|_| "an argument holds a null character".to_string())
    };
    let (arguments, environment) = match (strings(command), strings(&environment)) {
        (Ok(arguments), Ok(environment)) => (arguments, environment),
        (Err(error), _) | (_, Err(error)) => return format!("cannot start {shown}: {error}"),
    };
    let pointers = |all: &[CString]| -> Vec<*const libc::c_char> {
        all.iter()
            .map(|each| each.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (argument_pointers, environment_pointers) = (pointers(&arguments), pointers(&environment));
    // SAFETY: both arrays end with a null pointer, every string ends with a
    // null byte, and their owners live until after the call.
    unsafe {
        libc::execve(
            argument_pointers[0],
            argument_pointers.as_ptr(),
            environment_pointers.as_ptr(),
        )
    };
    format!(
        "cannot start {shown}: {}",
        reason(&io::Error::last_os_error())
    )
}

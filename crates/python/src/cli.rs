//! The command line: the commands and their options, and where wrasse's part
//! of it ends. What a command does is in a file of `cli/`.
//!
//! wrasse does not imitate `python`. It hands the program to the very
//! interpreter it was started with, so `sys.argv`, `__main__`, tracebacks,
//! standard input, signals and the exit code are Python's own. What wrasse is
//! to do travels in the environment: `WRASSE` for the whole process tree, and
//! [`run::MARK`](crate::run::MARK) for the one process that reports.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{boot, options};

mod child;
mod doctor;
mod entry;
mod interpreter;
mod interrupt;
mod live;
mod program;
mod reports;
mod start;

pub use entry::{python_main, python_write, string_of};
pub use interpreter::Interpreter;
use start::{run_lines, run_program};

/// Exit code of everything that is wrong before the program starts.
const MISUSE: i32 = 2;

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

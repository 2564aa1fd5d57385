//! `wrasse live`: a look at a running program, one that is started here or another.
//!
//! What is looked at is always a capture file that grows ([`wrasse_live`]). The screen
//! belongs to the view, so what a program that is started here prints is kept and
//! printed when the view is over, unless it goes elsewhere than to the terminal anyway.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser};
use wrasse_live::{Form, Host, Order, Paint, Screen, Shown, Told, Watch, show, tell};
use wrasse_report::reason;

use super::child::{Child, Signals};
use super::doctor::{Exchange, is_capture, program_code};
use super::interpreter::{Interpreter, check_start, interpreter_command, replace_process};
use super::one_line;
use super::program::{Program, check_apart, check_program, program};
use super::reports::destination;
use super::start::{Present, check_capture, environment_value};
use crate::{boot, run};

pub const USAGE: &str = "wrasse live [OPTIONS] (SCRIPT | NOTEBOOK.ipynb | -m MODULE | -c CODE | PID | CAPTURE.wrasse) [ARGUMENTS]...";

pub const EXAMPLES: &str = "\
Examples:
  wrasse live app.py --port 8000        runs it, and shows what its memory does
  wrasse live 4711                      a process that 'wrasse run -o FILE' has started
  wrasse live app.wrasse                a capture file that is being written
  wrasse live app.py 2> lines           without a terminal: a line a second
  wrasse live --json --output out.txt app.py

Keys: q leaves the view, ? shows the others. What a program that is started here
prints comes when the view is over; it cannot read from the terminal.

Exit code: that of the program that was started here, otherwise 0; 2 when there is
nothing to look at.";

/// The time between two looks at what a program prints.
const STEP: Duration = Duration::from_millis(50);
/// Those that tell a process to end.
const STOP: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

#[derive(Args)]
pub struct LiveOptions {
    /// No view: one JSON object a line, once a second
    #[arg(long)]
    json: bool,
    /// Where the program's capture is kept; of a process, where it is
    #[arg(short = 'o', long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Where what the program prints goes
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Record NFRAME frames of each traceback (1 if not given)
    #[arg(long, value_name = "NFRAME", num_args = 0..=1, require_equals = true,
          default_missing_value = "1", value_parser = super::frames)]
    trace: Option<u16>,
    /// Raise MemoryError where Python's own memory would grow beyond SIZE (512MiB)
    #[arg(long, value_name = "SIZE", value_parser = super::size)]
    limit: Option<usize>,
}

/// Options that come after a process or a file, whose own they cannot be.
#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    options: LiveOptions,
}

/// `wrasse live`; `own` is the command line up to the program, `part` what follows.
/// Returns the exit code.
///
/// # Errors
/// One line that says why there is nothing to look at.
pub fn run(
    options: LiveOptions,
    own: &[OsString],
    part: &[OsString],
    interpreter: &Interpreter,
) -> Result<i32, String> {
    let Some((first, rest)) = part.split_first() else {
        return Err("nothing to look at: name a program, the number of a process, or a capture file (see 'wrasse live --help')".into());
    };
    let number = process_number(first);
    let path = Path::new(first);
    if number.is_none() && !is_capture(path) {
        return run_program(&options, part, interpreter);
    }
    let options = match rest {
        [] => options,
        more => {
            let all = own.iter().skip(1).chain(more);
            let again = Alone::try_parse_from(all).map_err(|error| one_line(&error, own))?;
            again.options
        }
    };
    let is_for_a_program = [
        (options.output.is_some(), "--output"),
        (options.trace.is_some(), "--trace"),
        (options.limit.is_some(), "--limit"),
        (options.capture.is_some() && number.is_none(), "--capture"),
    ];
    if let Some((_, option)) = is_for_a_program.iter().find(|(is_given, _)| *is_given) {
        let what = match number {
            Some(_) => "this is a process that runs already",
            None => "this is a capture",
        };
        return Err(format!("{option} is for a program that is started: {what}"));
    }
    match number {
        Some(number) => {
            let file = match &options.capture {
                Some(file) => file.clone(),
                None => capture_of(number)?,
            };
            let watch = Watch::open(&file)?;
            if watch.process() != number {
                return Err(format!(
                    "{} is the capture of process {}, not of {number}",
                    file.display(),
                    watch.process()
                ));
            }
            look_on(watch, options.json)
        }
        None => look_on(Watch::open(path)?, options.json),
    }
}

/// A word that can only be a process's number.
fn process_number(word: &OsStr) -> Option<u32> {
    let text = word.to_str()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// The capture that a process writes, as its environment names it.
fn capture_of(number: u32) -> Result<PathBuf, String> {
    let place = PathBuf::from(format!("/proc/{number}"));
    if !place.exists() {
        return Err(format!("there is no process {number}"));
    }
    let environment = fs::read(place.join("environ")).map_err(|error| {
        format!(
            "cannot read the environment of process {number}: {} (name its capture: --capture FILE)",
            reason(&error)
        )
    })?;
    let name = format!("{}=", run::MARK);
    let mark = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes()))
        .and_then(|value| run::Mark::from_environment(OsStr::from_bytes(value)));
    let capture = mark.as_ref().and_then(run::Mark::capture);
    let (Some(mark), Some(capture)) = (&mark, capture) else {
        return Err(format!(
            "process {number} writes no capture: start it with 'wrasse run -o FILE PROGRAM', or name its file with --capture FILE"
        ));
    };
    if mark.process() != number {
        return Err(format!(
            "process {number} writes no capture: process {}, which has started it, does",
            mark.process()
        ));
    }
    if capture.exists() {
        return Ok(capture.to_path_buf());
    }
    // As the process sees it, which may be in a container.
    let within = capture.strip_prefix("/").unwrap_or(capture);
    Ok(place.join("root").join(within))
}

/// Looks at a program that somebody else has started.
fn look_on(mut watch: Watch, json: bool) -> Result<i32, String> {
    let _signals = Signals::take();
    let mut host = Other;
    if !json && can_draw() {
        let shown = show(&mut watch, &mut host, paint())?;
        if watch.ending().is_none() {
            let process = watch.process();
            let _ = writeln!(io::stderr(), "wrasse live: process {process} goes on");
        }
        return Ok(match shown {
            Shown::Left => 0,
            Shown::Stopped => 128 + Signals::last(),
        });
    }
    let told = tell(&mut watch, &mut host, form(json), &mut io::stdout())?;
    Ok(match told {
        Told::Ended | Told::Unheard => 0,
        Told::Stopped => 128 + Signals::last(),
    })
}

struct Other;

impl Host for Other {
    fn ending(&mut self, told: Option<String>) -> Option<String> {
        told
    }

    fn interrupt(&mut self) -> bool {
        false
    }

    fn is_stopped(&self) -> bool {
        STOP.contains(&Signals::last())
    }
}

/// A program that was started here.
struct Own<'a> {
    child: &'a mut Child,
    /// Is a view left when this process is told to end? The program is told too.
    is_viewed: bool,
}

impl Host for Own<'_> {
    fn ending(&mut self, _: Option<String>) -> Option<String> {
        self.child.ended().map(ending)
    }

    fn interrupt(&mut self) -> bool {
        self.child.send(libc::SIGINT);
        true
    }

    fn is_stopped(&self) -> bool {
        self.is_viewed && STOP.contains(&Signals::last())
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended".into(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

/// Where the program's files are to be, if not where this process's are.
#[derive(Default)]
struct Streams {
    input: Option<File>,
    output: Option<File>,
    errors: Option<File>,
}

impl Streams {
    /// In the child.
    fn put_in_place(&self) -> io::Result<()> {
        let all = [
            (&self.input, libc::STDIN_FILENO),
            (&self.output, libc::STDOUT_FILENO),
            (&self.errors, libc::STDERR_FILENO),
        ];
        for (file, place) in all {
            let Some(file) = file else { continue };
            let number = file.as_raw_fd();
            // SAFETY: `file` is open. What was at `place` is closed by this, which no
            // owner of the child's can notice: it executes the program next, or ends.
            let done = unsafe {
                match number == place {
                    // It came there because nothing was; now it is to stay.
                    true => libc::fcntl(number, libc::F_SETFD, 0),
                    false => libc::dup2(number, place),
                }
            };
            if done < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Runs a program and looks at it.
fn run_program(
    options: &LiveOptions,
    part: &[OsString],
    interpreter: &Interpreter,
) -> Result<i32, String> {
    let (program, arguments) = program(part, "live")?;
    check_program(&program)?;
    let capture = destination(options.capture.as_deref())?;
    let output = destination(options.output.as_deref())?;
    check_apart(
        &program,
        &[("-o", capture.as_deref()), ("--output", output.as_deref())],
    )?;
    check_capture(capture.as_deref())?;
    check_start(interpreter)?;
    let present = Present::find()?;
    let frames = options.trace.or((!present.traces).then_some(1));
    let wanted = environment_value(&present.value, frames, options.limit);
    let is_viewed = !options.json && can_draw();
    if is_viewed && program == Program::StandardInput && io::stdin().is_terminal() {
        return Err("the keyboard is for the view: name a program, or redirect its text".into());
    }

    let exchange = Exchange::new()?;
    let own_capture = exchange.named("live.wrasse");
    let file = capture.as_deref().unwrap_or(&own_capture);
    let kept = exchange.named("output");
    let streams = streams(output.as_deref(), is_viewed, &kept)?;
    let command = interpreter_command(program, arguments, None, interpreter);
    let mut watch = Watch::new(file, true);
    if let Some(path) = &capture {
        // What an earlier run has left there is not this program's.
        File::create(path)
            .map_err(|error| format!("cannot write {}: {}", path.display(), reason(&error)))?;
    }
    let mut child = Child::start(|| {
        if let Err(error) = streams.put_in_place() {
            return format!("cannot start the program: {}", reason(&error));
        }
        let mark = run::Mark::of_this_process(true, None, Some(file.to_path_buf()));
        let changes = [
            ("WRASSE", wanted.clone().into()),
            (run::MARK, mark.to_environment()),
        ];
        replace_process(&command, &changes)
    })?;
    drop(streams);

    let mut host = Own {
        child: &mut child,
        is_viewed,
    };
    if is_viewed {
        let shown = show(&mut watch, &mut host, paint());
        after_the_view(&mut watch, shown, &mut child, &kept);
    } else {
        let form = form(options.json);
        // The program has standard output, unless it was given a file.
        let told = match output {
            Some(_) => tell(&mut watch, &mut host, form, &mut io::stdout()),
            None => tell(&mut watch, &mut host, form, &mut io::stderr()),
        };
        if let Err(error) = told {
            boot::say(&error);
        }
    }
    Ok(program_code(child.wait()))
}

/// The streams of a program that is looked at.
fn streams(output: Option<&Path>, is_viewed: bool, kept: &Path) -> Result<Streams, String> {
    let told = |path: &Path, error: &io::Error| {
        format!("cannot write {}: {}", path.display(), reason(error))
    };
    let mut streams = Streams::default();
    if let Some(path) = output {
        let file = File::create(path).map_err(|error| told(path, &error))?;
        let copy = file.try_clone().map_err(|error| told(path, &error))?;
        (streams.output, streams.errors) = (Some(file), Some(copy));
    } else if is_viewed {
        // What goes to the terminal is kept, in its order; what does not is left alone.
        let file = OpenOptions::new().create_new(true).append(true).open(kept);
        let file = file.map_err(|error| told(kept, &error))?;
        if io::stderr().is_terminal() {
            let copy = file.try_clone().map_err(|error| told(kept, &error))?;
            streams.errors = Some(copy);
        }
        streams.output = Some(file);
    }
    if is_viewed && io::stdin().is_terminal() {
        let nothing = Path::new("/dev/null");
        let file = File::open(nothing).map_err(|error| told(nothing, &error))?;
        streams.input = Some(file);
    }
    Ok(streams)
}

/// Prints what was kept, and what the program still prints, until it ends; then what
/// its memory has done.
fn after_the_view(watch: &mut Watch, shown: Result<Shown, String>, child: &mut Child, kept: &Path) {
    if let Err(error) = shown {
        boot::say(&error);
    }
    if child.ended().is_none() && Signals::last() == 0 {
        let text = "wrasse live: the program goes on, Ctrl-C interrupts it; what it prints:\n";
        let _ = io::stderr().write_all(text.as_bytes());
    }
    let mut kept = File::open(kept).ok();
    loop {
        let has_ended = child.ended().is_some();
        if let Some(file) = &mut kept {
            pass_through(file);
        }
        if has_ended {
            break;
        }
        thread::sleep(STEP);
    }
    if watch.read().is_ok() {
        let look = watch.look(Order::Live, child.ended().map(ending));
        let _ = writeln!(io::stderr(), "{}", look.line(Form::Text));
    }
}

/// Copies what has come to standard output, whose reader may be gone.
fn pass_through(file: &mut File) {
    let mut piece = vec![0; 1 << 16];
    let mut out = io::stdout();
    while let Ok(count @ 1..) = file.read(&mut piece) {
        if out.write_all(&piece[..count]).is_err() {
            return;
        }
    }
    let _ = out.flush();
}

fn form(json: bool) -> Form {
    if json { Form::Json } else { Form::Text }
}

/// <https://no-color.org>: any value but none.
fn paint() -> Paint {
    Paint {
        has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// Is there a terminal to draw on and to read keys from, and is it ours now?
fn can_draw() -> bool {
    // SAFETY: asks the system about this process's own descriptor and group.
    let is_in_front = unsafe { libc::tcgetpgrp(libc::STDOUT_FILENO) == libc::getpgrp() };
    let has_keys = io::stdin().is_terminal() || File::open("/dev/tty").is_ok();
    io::stdout().is_terminal() && is_in_front && has_keys && Screen::has_room()
}

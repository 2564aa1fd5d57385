//! `wrasse doctor` and `wrasse explain`.
//!
//! Other than `wrasse run`, this process stays: the program runs in a child,
//! which measures and leaves behind what it saw ([`crate::doctor`]); the rules
//! are asked here, when its memory is gone.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use clap::Args;
use wrasse_capture::MAGIC;
use wrasse_doctor::observations::Text;
use wrasse_doctor::{Finding, Observations, Settings, examine, rule, rules, to_json, to_text};
use wrasse_report::{clear_destination, write_destination};

use super::child::spawn;
use super::interpreter::{Interpreter, check_start, interpreter_command, replace_process};
use super::interrupt::Interruptible;
use super::program::{Program, check_apart, check_program, program};
use super::reports::{destination, put_out};
use super::start::{Present, check_capture, environment_value};
use crate::{doctor, run};

pub const USAGE: &str = "wrasse doctor [OPTIONS] (SCRIPT | NOTEBOOK.ipynb | -m MODULE | -c CODE | CAPTURE.wrasse) [ARGUMENTS]...";

pub const EXAMPLES: &str = "\
Examples:
  wrasse doctor app.py --port 8000      runs it, then says what is wrong with its memory
  wrasse doctor -o app.wrasse app.py    also: keep all that was measured
  wrasse doctor app.wrasse              what a capture file can tell, without a run
  wrasse doctor --select W1 app.py      reference cycles only
  wrasse explain W101                   what a rule means, with an example

Exit code: 0 nothing found, 1 findings, 2 nothing could be run; where nothing
was found (or with --exit-zero), the program's own.";

/// Frames of each traceback: enough to find the program's own line below a library's.
const FRAMES: u16 = 8;

#[derive(Args)]
pub struct DoctorOptions {
    /// Only these rules: codes or beginnings of codes, with commas (W1,W201)
    #[arg(long, value_name = "CODES")]
    select: Vec<String>,
    /// Not these rules
    #[arg(long, value_name = "CODES")]
    ignore: Vec<String>,
    /// Findings do not make the exit code 1
    #[arg(long)]
    exit_zero: bool,
    /// Write the findings to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep all that was measured, and the findings, in FILE
    #[arg(short = 'o', long, value_name = "FILE")]
    capture: Option<PathBuf>,
}

#[derive(Args)]
pub struct ExplainOptions {
    /// The rule's code (W101) or name; all rules are listed without one
    code: Option<String>,
}

/// `wrasse explain`.
///
/// # Errors
/// One line: there is no such rule, or nothing can be written.
pub fn explain(options: &ExplainOptions) -> Result<(), String> {
    let text = match &options.code {
        Some(word) => match rule(word) {
            Some(rule) => rule.explanation.to_string(),
            None => return Err(format!("there is no rule '{word}' (see 'wrasse explain')")),
        },
        None => {
            let lines = rules()
                .iter()
                .map(|rule| format!("{}  {:<24}  {}\n", rule.code, rule.name, rule.summary));
            lines.collect()
        }
    };
    put_out(text.as_bytes())
}

/// `wrasse doctor`; `part` is the program with its arguments. Returns the exit code.
///
/// # Errors
/// One line that says why nothing was run.
pub fn run(
    options: &DoctorOptions,
    part: &[OsString],
    interpreter: &Interpreter,
) -> Result<i32, String> {
    let (program, arguments) = program(part, "doctor")?;
    let recorded = program.file().filter(|path| is_capture(path));
    if recorded.is_none() {
        check_program(&program)?;
    }
    let json = destination(options.json.as_deref())?;
    let capture = destination(options.capture.as_deref())?;
    check_apart(
        &program,
        &[("--json", json.as_deref()), ("-o", capture.as_deref())],
    )?;
    let settings = settings(options, &program)?;
    if let Some(path) = recorded {
        if options.capture.is_some() {
            return Err("-o is for a program: this is a capture already".into());
        }
        let _interruptible = Interruptible::begin();
        let observations = doctor::from_capture(path)?;
        let findings = examine(&observations, &settings);
        put_out(to_text(&findings).as_bytes())?;
        write_json(json.as_deref(), &findings)?;
        return Ok(exit_code(options, &findings, 0));
    }
    check_capture(capture.as_deref())?;
    check_start(interpreter)?;
    let code = match &program {
        Program::Code(code) => Some(Text {
            file: "<string>".into(),
            text: code.to_string_lossy().into_owned(),
        }),
        _ => None,
    };
    let present = Present::find()?;
    let wanted = environment_value(&present.value, Some(FRAMES), None);
    let command = interpreter_command(program, arguments, None, interpreter);

    let exchange = Exchange::new()?;
    let status = spawn(|| {
        let mark = run::Mark::of_this_process(true, None, capture.clone())
            .with_heap(true)
            .to_environment();
        replace_process(
            &command,
            &[
                ("WRASSE", wanted.clone().into()),
                (run::MARK, mark),
                (doctor::VARIABLE, exchange.file().into()),
            ],
        )
    })?;
    let observations = exchange.read();
    let ended = ending(status);
    let Some(mut observations) = observations else {
        let how = ended.unwrap_or_else(|| "the program ended".into());
        tell(&format!(
            "wrasse doctor: {how}, and left nothing to examine\n"
        ));
        if let Some(path) = &json {
            clear_destination(path).map_err(|error| error.to_string())?;
        }
        let code = program_code(status);
        return Ok(if options.exit_zero { code } else { code.max(1) });
    };
    observations.program = part[..part.len() - arguments.len()]
        .last()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    observations.texts.extend(code);
    let findings = examine(&observations, &settings);
    if let Some(path) = &capture {
        doctor::keep(path, &observations, &findings)
            .unwrap_or_else(|error| tell(&format!("wrasse: {}: {error}\n", path.display())));
    }
    let mut text = String::from("\n");
    text.push_str(&to_text(&findings));
    if let Some(ended) = ended {
        text.push_str(&format!(
            "wrasse doctor: {ended}: what it did until then was examined\n"
        ));
    }
    tell(&text);
    write_json(json.as_deref(), &findings)?;
    Ok(exit_code(options, &findings, program_code(status)))
}

/// The settings that hold where the program is.
fn settings(options: &DoctorOptions, program: &Program) -> Result<Settings, String> {
    let here = std::env::current_dir().unwrap_or_default();
    let directory = match program.file().map(fs::canonicalize) {
        Some(Ok(path)) => path.parent().map_or(here, Path::to_path_buf),
        _ => here,
    };
    let mut settings = Settings::find(&directory)?;
    settings.choose(&options.select, &options.ignore)?;
    Ok(settings)
}

/// Is a file called a capture, or does it begin as captures do?
pub fn is_capture(path: &Path) -> bool {
    let begins_as_one = || {
        let mut head = [0; MAGIC.len()];
        path.is_file()
            && File::open(path)
                .and_then(|mut file| file.read_exact(&mut head))
                .is_ok_and(|()| head == MAGIC)
    };
    let is_called_one = path.extension() == Some(OsStr::new("wrasse")) && !path.is_dir();
    is_called_one || begins_as_one()
}

fn exit_code(options: &DoctorOptions, findings: &[Finding], program: i32) -> i32 {
    if findings.is_empty() || options.exit_zero {
        program
    } else {
        1
    }
}

fn write_json(path: Option<&Path>, findings: &[Finding]) -> Result<(), String> {
    match path {
        Some(path) => {
            write_destination(path, to_json(findings).as_bytes()).map_err(|error| error.to_string())
        }
        None => Ok(()),
    }
}

/// The exit code that a shell would give the program.
pub fn program_code(status: ExitStatus) -> i32 {
    let by_signal = || status.signal().map_or(1, |signal| 128 + signal);
    status.code().unwrap_or_else(by_signal)
}

/// How the program failed, if it did.
fn ending(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("the program itself failed with exit code {code}")),
        (None, Some(signal)) => Some(format!("the program was ended by signal {signal}")),
        (None, None) => Some("the program did not end by itself".into()),
    }
}

/// Writes to standard error; whoever read it may be gone.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A directory of our own, in which the program leaves what was measured.
pub struct Exchange(PathBuf);

impl Exchange {
    /// One that nobody else can look into.
    ///
    /// # Errors
    /// One line: there can be none.
    pub fn new() -> Result<Self, String> {
        let mut template = std::env::temp_dir()
            .join("wrasse-XXXXXX")
            .as_os_str()
            .as_bytes()
            .to_vec();
        template.push(0);
        // SAFETY: the template ends with a null byte and is written in place.
        let made = unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) };
        if made.is_null() {
            return Err(format!(
                "cannot make a directory in {}: {}",
                std::env::temp_dir().display(),
                io::Error::last_os_error()
            ));
        }
        template.pop();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&template));
        Ok(Self(path))
    }

    /// The path of a file in it.
    pub fn named(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self) -> PathBuf {
        self.named("observations.json")
    }

    fn read(&self) -> Option<Observations> {
        let content = fs::read(self.file()).ok()?;
        serde_json::from_slice(&content).ok()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

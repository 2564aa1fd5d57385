//! The interpreter that runs the program: whether it starts wrasse, its own
//! options, and how it takes this process's place.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;

use wrasse_report::reason;

use super::program::Program;

/// The file through which wrasse starts together with the interpreter.
const START_FILE: &str = "00_wrasse.pth";

/// The interpreter that runs this process and will run the program.
pub struct Interpreter {
    /// `sys.executable`.
    pub executable: OsString,
    /// `sys.orig_argv`: the options in it (`-X dev`) are the program's too.
    pub original_arguments: Vec<OsString>,
    /// The directories whose `.pth` files are read at the start.
    pub site_directories: Vec<OsString>,
}

/// The command that has the interpreter run `program`.
pub(super) fn interpreter_command(
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

/// wrasse starts with the interpreter through a file in a site directory:
/// without it the program would silently run on stock memory management.
pub(super) fn check_start(interpreter: &Interpreter) -> Result<(), String> {
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
pub(super) fn replace_process(command: &[OsString], changes: &[(&str, OsString)]) -> String {
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

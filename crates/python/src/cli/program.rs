//! What is to be run: the part of the command line that is not wrasse's.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wrasse_report::reason;

use super::doctor;

/// A program, as the command line names it.
#[derive(Debug, PartialEq)]
pub(super) enum Program {
    Script(OsString),
    Notebook(OsString),
    Module(OsString),
    Code(OsString),
    StandardInput,
}

impl Program {
    /// The file it is read from, where it is named by its path.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Program::Script(name) | Program::Notebook(name) => Some(Path::new(name)),
            Program::Module(_) | Program::Code(_) | Program::StandardInput => None,
        }
    }

    pub(super) fn is_read_from(&self, path: &Path) -> bool {
        self.file().is_some_and(|own| is_same_file(path, own))
    }
}

/// Names the program that `part`, the second half of what [`split`](super::split) gives, asks for; `command`
/// is the one that says more.
pub(super) fn program<'a>(
    part: &'a [OsString],
    command: &str,
) -> Result<(Program, &'a [OsString]), String> {
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

/// Says early, in one line, what Python would say late or in its own words.
pub(super) fn check_program(program: &Program) -> Result<(), String> {
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
pub(super) fn check_apart(
    program: &Program,
    files: &[(&str, Option<&Path>)],
) -> Result<(), String> {
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
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((found.dev(), found.ino()))
    };
    one == other || identity(one).is_some_and(|file| identity(other) == Some(file))
}

pub(super) fn is_number(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|text| text.parse::<u16>().is_ok())
}

//! Files asked for at the start of a run and written at its end.
//!
//! The check comes first, so that an hour of work is not followed by
//! "permission denied"; the old content stays until the new one is complete.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file cannot be written.
#[derive(Debug)]
pub struct Unwritable {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "cannot write {}: {}",
            self.path.display(),
            self.reason
        )
    }
}

/// Makes sure that `path` can be written later and returns it as an absolute
/// path, since the program may change its directory. No content is touched.
///
/// # Errors
/// [`Unwritable`], saying why.
pub fn check_destination(path: &Path) -> Result<PathBuf, Unwritable> {
    let refuse = |reason: String| Unwritable {
        path: path.to_path_buf(),
        reason,
    };
    let io = |error: io::Error| refuse(reason(&error));
    if path.as_os_str().is_empty() {
        return Err(refuse("the name is empty".into()));
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(refuse("it is a directory".into()));
    }
    let absolute = std::path::absolute(path).map_err(io)?;
    match fs::metadata(&absolute) {
        Ok(_) if is_descriptor(&absolute) => Ok(absolute),
        Ok(found) if found.is_dir() => Err(refuse("it is a directory".into())),
        // Opened for appending, which changes nothing. A pipe or a device is
        // left alone: opening a pipe may block until somebody reads it.
        Ok(found) if found.is_file() => {
            OpenOptions::new()
                .append(true)
                .open(&absolute)
                .map_err(io)?;
            check_directory(&absolute).map_err(io)?;
            Ok(absolute)
        }
        Ok(_) => Ok(absolute),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check_directory(&absolute).map_err(io)?;
            Ok(absolute)
        }
        Err(error) => Err(io(error)),
    }
}

/// Writes `content` to `path`: completely or not at all where it is a plain
/// file.
///
/// # Errors
/// [`Unwritable`], saying why.
pub fn write_destination(path: &Path, content: &[u8]) -> Result<(), Unwritable> {
    write_whole(path, content).map_err(|error| Unwritable {
        path: path.to_path_buf(),
        reason: reason(&error),
    })
}

/// Takes away what an earlier run wrote to `path`, when this one has nothing to
/// say: a plain file, and nothing else.
///
/// # Errors
/// [`Unwritable`], saying why.
pub fn clear_destination(path: &Path) -> Result<(), Unwritable> {
    let clear = || match fs::canonicalize(path) {
        Ok(file) if !is_descriptor(path) && file.is_file() => fs::remove_file(file),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    clear().map_err(|error| Unwritable {
        path: path.to_path_buf(),
        reason: reason(&error),
    })
}

/// Whether `path` names what a descriptor is open on (`/dev/stdout`), not a
/// file of its own: then what is there already belongs to somebody else.
fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdout", "/dev/stderr", "/proc"]
        .iter()
        .any(|place| path.starts_with(place))
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    if is_descriptor(path) {
        return OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(content);
    }
    // A link keeps pointing at its file; a pipe or a device is written, not
    // replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let existing = fs::metadata(&target).ok();
    if existing.as_ref().is_some_and(|found| !found.is_file()) {
        return OpenOptions::new()
            .write(true)
            .open(&target)?
            .write_all(content);
    }
    let temporary = temporary_beside(&target);
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        if let Some(found) = existing {
            file.set_permissions(found.permissions())?;
        }
        file.write_all(content)?;
        fs::rename(&temporary, &target)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A file is replaced by renaming, so its directory must take new files.
fn check_directory(path: &Path) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let temporary = temporary_beside(&target);
    File::create_new(&temporary)?;
    fs::remove_file(&temporary)
}

/// A name of this process's own; the process keeps its number across `exec`.
fn temporary_beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".wrasse-{}.tmp", std::process::id()))
}

/// What the system says is wrong, in its words alone: "No such file or directory"
/// without Rust's "(os error 2)".
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wrasse-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = fs::read_dir(&self.0)
                .unwrap()
                .map(|each| each.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn check_leaves_no_trace_and_keeps_content() {
        let folder = Folder::new("check");
        let old = folder.0.join("old.json");
        fs::write(&old, "kept").unwrap();
        assert_eq!(check_destination(&old).unwrap(), old);
        check_destination(&folder.0.join("new.json")).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "kept");
        assert_eq!(folder.names(), ["old.json"]);
    }

    #[test]
    fn what_a_descriptor_is_open_on_keeps_its_content() {
        use std::os::fd::AsRawFd;

        let folder = Folder::new("descriptor");
        let log = folder.0.join("log");
        fs::write(&log, "first\n").unwrap();
        let open = OpenOptions::new().append(true).open(&log).unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        assert_eq!(check_destination(&path).unwrap(), path);
        write_destination(&path, b"second\n").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "first\nsecond\n");
        assert!(check_destination(Path::new("nowhere/")).is_err());
    }

    #[test]
    fn impossible_places_are_refused_with_their_reason() {
        let folder = Folder::new("refuse");
        let message = |path: &Path| check_destination(path).unwrap_err().to_string();
        assert!(message(&folder.0).ends_with("it is a directory"));
        assert!(message(&folder.0.join("missing/x.json")).ends_with("No such file or directory"));
        assert!(message(Path::new("")).ends_with("the name is empty"));
    }

    #[test]
    fn writing_replaces_the_file_a_link_points_at() {
        let folder = Folder::new("write");
        let real = folder.0.join("real.json");
        let link = folder.0.join("link.json");
        fs::write(&real, "a longer old content").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_destination(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(folder.names(), ["link.json", "real.json"]);
    }

    #[test]
    fn devices_are_written_not_replaced() {
        write_destination(&check_destination(Path::new("/dev/null")).unwrap(), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}

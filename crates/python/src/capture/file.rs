//! The file a capture is appended to, kept open beside the program's own files.
//!
//! A program may close descriptors that it did not open (daemons close all) and
//! get the same number for a file of its own. So each write first makes sure
//! that the descriptor is still on our file.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use wrasse_report::reason;

/// Descriptors from here on are rarely the program's.
const HIGH: libc::c_int = 200;

/// What a descriptor is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    number: u64,
}

impl FileIdentity {
    /// What `descriptor` is on; nothing if it is closed. May be called from a
    /// signal handler.
    pub fn of(descriptor: libc::c_int) -> Option<Self> {
        // SAFETY: a zeroed `stat` is a valid value to be filled in; a closed
        // descriptor is an error.
        unsafe {
            let mut found: libc::stat = mem::zeroed();
            (libc::fstat(descriptor, &raw mut found) == 0).then_some(FileIdentity {
                device: found.st_dev,
                number: found.st_ino,
            })
        }
    }
}

/// Writes all of `bytes`. May be called from a signal handler.
pub fn write_all(descriptor: libc::c_int, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the slice is valid for its length.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// A plain file, open for appending.
pub struct OutputFile {
    path: CString,
    descriptor: libc::c_int,
    identity: FileIdentity,
}

impl OutputFile {
    /// Create or empty the file at `path`.
    ///
    /// # Errors
    /// One line that names it.
    pub fn create(path: &Path) -> Result<Self, String> {
        let refuse = |reason: String| format!("cannot write {}: {reason}", path.display());
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| refuse("its name holds a null character".into()))?;
        let last = || refuse(reason(&io::Error::last_os_error()));
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC;
        // SAFETY: the name ends with a null byte; the descriptor is ours. Not
        // blocking matters for pipes only, which are refused.
        unsafe {
            let descriptor = libc::open(name.as_ptr(), flags | libc::O_NONBLOCK, 0o666);
            if descriptor < 0 {
                return Err(last());
            }
            let mut found: libc::stat = mem::zeroed();
            let known = libc::fstat(descriptor, &raw mut found) == 0;
            if !known || found.st_mode & libc::S_IFMT != libc::S_IFREG {
                libc::close(descriptor);
                return Err(refuse("a capture needs a plain file".into()));
            }
            if libc::ftruncate(descriptor, 0) != 0 {
                let error = last();
                libc::close(descriptor);
                return Err(error);
            }
            Ok(OutputFile {
                path: name,
                descriptor: high(descriptor),
                identity: FileIdentity {
                    device: found.st_dev,
                    number: found.st_ino,
                },
            })
        }
    }

    /// The descriptor, and what it must be on.
    pub fn target(&self) -> (libc::c_int, FileIdentity) {
        (self.descriptor, self.identity)
    }

    /// Append `bytes`.
    ///
    /// # Errors
    /// Why they are not, or not all, in the file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        if FileIdentity::of(self.descriptor) != Some(self.identity) {
            self.open_again()?;
        }
        write_all(self.descriptor, bytes).map_err(|error| reason(&error))
    }

    /// Somebody has closed the descriptor; its number may be somebody else's now.
    fn open_again(&mut self) -> Result<(), String> {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: as in `create`.
        unsafe {
            let descriptor = libc::open(self.path.as_ptr(), flags);
            if FileIdentity::of(descriptor) != Some(self.identity) {
                if descriptor >= 0 {
                    libc::close(descriptor);
                }
                return Err("its file was closed, and is not where it was".into());
            }
            self.descriptor = high(descriptor);
        }
        super::signals::set_descriptor(self.descriptor);
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if FileIdentity::of(self.descriptor) == Some(self.identity) {
            // SAFETY: still on our file, and nobody else knows it.
            unsafe { libc::close(self.descriptor) };
        }
    }
}

/// The same with a high number, where the system has one free.
///
/// # Safety
/// `descriptor` is open and the caller's own.
unsafe fn high(descriptor: libc::c_int) -> libc::c_int {
    // SAFETY: as the caller vouches; closed only where there is a copy.
    unsafe {
        let copy = libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, HIGH);
        if copy < 0 {
            return descriptor;
        }
        libc::close(descriptor);
        copy
    }
}

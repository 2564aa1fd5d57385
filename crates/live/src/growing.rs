//! The file that is read while somebody writes it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wrasse_capture::{Follower, Unreadable};
use wrasse_report::reason;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// A file and what it has said so far.
pub struct Growing {
    path: PathBuf,
    file: Option<File>,
    /// Bytes read so far.
    read: u64,
    follower: Follower,
    /// How often it has begun anew.
    beginnings: u32,
}

impl Growing {
    /// A file that is there, or will be.
    pub fn new(path: &Path) -> Self {
        Growing {
            path: path.to_path_buf(),
            file: None,
            read: 0,
            follower: Follower::default(),
            beginnings: 0,
        }
    }

    /// What it has said.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// How often it has begun anew: what was known before is then of another run.
    pub fn beginnings(&self) -> u32 {
        self.beginnings
    }

    /// How long ago it was written to.
    pub fn age(&self) -> Option<Duration> {
        let written = self.file.as_ref()?.metadata().ok()?.modified().ok()?;
        Some(
            SystemTime::now()
                .duration_since(written)
                .unwrap_or_default(),
        )
    }

    /// Read what has come since.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it.
    pub fn read(&mut self) -> Result<(), String> {
        let told = |path: &Path, error: Unreadable| format!("{}: {error}", path.display());
        self.follow_the_name()?;
        match self.read_on()? {
            Ok(()) => Ok(()),
            // The program may have begun its file anew, and be further already.
            Err(_) if self.read > 0 => {
                self.begin_anew();
                self.file = None;
                self.follow_the_name()?;
                self.read_on()?.map_err(|error| told(&self.path, error))
            }
            Err(error) => Err(told(&self.path, error)),
        }
    }

    /// Makes sure that the file is the one of that name, and not shorter than what
    /// was read. A file that has lost its name is read on.
    fn follow_the_name(&mut self) -> Result<(), String> {
        let Ok(named) = fs::metadata(&self.path) else {
            return Ok(());
        };
        if !named.is_file() {
            return Err(format!("{}: not a plain file", self.path.display()));
        }
        if let Some(file) = &self.file {
            let open = file
                .metadata()
                .map_err(|error| unreadable(&self.path, &error))?;
            let is_same = (open.dev(), open.ino()) == (named.dev(), named.ino());
            if is_same && open.len() >= self.read {
                return Ok(());
            }
            self.begin_anew();
        }
        let file = File::open(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        self.file = Some(file);
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.follower = Follower::default();
        self.read = 0;
        self.beginnings += 1;
    }

    fn read_on(&mut self) -> Result<Result<(), Unreadable>, String> {
        let Some(file) = &mut self.file else {
            return Ok(Ok(()));
        };
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let limited = file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            let count = limited.map_err(|error| unreadable(&self.path, &error))?;
            if count == 0 {
                return Ok(Ok(()));
            }
            self.read += count as u64;
            if let Err(error) = self.follower.feed(&piece) {
                return Ok(Err(error));
            }
        }
    }
}

/// One line: why a file cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {}", path.display(), reason(error))
}

//! [`Frame`] and [`Traceback`]: where a block was allocated.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Index;
use std::sync::Arc;

/// A line of the program.
///
/// Frames are equal if file and line are, whatever the function is.
///
/// ```
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(1);
/// let traceback = tracemalloc::get_object_traceback(&Gc::new(7)).unwrap();
/// let frame = traceback.most_recent();
/// assert_eq!(frame.to_string(), format!("{}:{}", frame.filename(), frame.lineno()));
/// println!("in {}", frame.function());
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Frame {
    filename: Arc<str>,
    lineno: u32,
    function: Arc<str>,
}

impl Frame {
    pub(super) fn new(filename: Arc<str>, lineno: u32, function: Arc<str>) -> Self {
        Self {
            filename,
            lineno,
            function,
        }
    }

    /// A line of no function in particular.
    pub(super) fn of_file(filename: Arc<str>, lineno: u32) -> Self {
        Self::new(filename, lineno, "".into())
    }

    /// The source file. Where there is no debug information, the function's name
    /// in angle brackets; where nothing is known, `<unknown>`.
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// The line, from 1; 0 if it is not known, or if lines do not matter (in
    /// [`Key::File`](super::Key::File)).
    pub fn lineno(&self) -> u32 {
        self.lineno
    }

    /// The name of the function, empty if it is not known. Programs that are
    /// compiled with line tables only have short names for inlined functions.
    pub fn function(&self) -> &str {
        &self.function
    }

    pub(super) fn shared_filename(&self) -> &Arc<str> {
        &self.filename
    }

    fn key(&self) -> (&str, u32) {
        (&self.filename, self.lineno)
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Frame {}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Frame {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Frame {
    /// `file:line`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.filename, self.lineno)
    }
}

/// Frames from the oldest to the most recent, at least one.
///
/// ```no_run
/// use wrasse::{Gc, tracemalloc};
///
/// tracemalloc::start(10);
/// let object = Gc::new(1);
/// let traceback = tracemalloc::get_object_traceback(&object).unwrap();
/// println!("{}", traceback.format());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Traceback {
    frames: Arc<[Frame]>,
}

impl Traceback {
    pub(super) fn new(oldest_first: impl Iterator<Item = Frame>) -> Self {
        let frames: Arc<[Frame]> = oldest_first.collect();
        debug_assert!(!frames.is_empty());
        Self { frames }
    }

    /// The frames, the oldest first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The frame that allocated.
    pub fn most_recent(&self) -> &Frame {
        // There is one: a traceback without frames is not made.
        &self.frames[self.frames.len() - 1]
    }

    /// The number of frames.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Text of all frames, the oldest first, with their source lines as far as
    /// the files can be read: what Python's `Traceback.format` gives, as one text.
    pub fn format(&self) -> String {
        let mut text = String::new();
        for frame in &*self.frames {
            let (file, line) = frame.key();
            text += &format!("  File \"{file}\", line {line}\n");
            let source = std::fs::read_to_string(file).unwrap_or_default();
            let wanted = (line as usize).checked_sub(1);
            if let Some(line) = wanted.and_then(|index| source.lines().nth(index)) {
                text += &format!("    {}\n", line.trim());
            }
        }
        text
    }
}

impl Index<usize> for Traceback {
    type Output = Frame;

    fn index(&self, index: usize) -> &Frame {
        &self.frames[index]
    }
}

impl fmt::Display for Traceback {
    /// The oldest frame, as in Python.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frames[0].fmt(formatter)
    }
}

//! What a run measured, as plain data. Rules read nothing else.
//!
//! Everything has a default, so that whoever feeds the rules (a run, a capture
//! file, a test) gives what it has.

mod collector;
mod cycles;
mod growth;
mod heap;
mod lists;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{CELL, NOTEBOOK};

pub use collector::{CollectedAt, Collector, Pause};
pub use cycles::{Cycles, Edge, HeldException};
pub use growth::{Growth, GrowthPoint, LineGrowth, TypeGrowth, TypeLine, Unheld, Variable};
pub use heap::{CacheUse, Duplicates, Heap, Held, HolderKind, Instances, Numbers, Oversized};
pub use lists::BuiltList;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observations {
    /// Version of the interpreter, such as `3.12.1`.
    pub python: String,
    /// What was run, as the user named it.
    pub program: String,
    /// Seconds from start to end.
    pub wall_seconds: f64,
    /// Seconds of processor time from start to end.
    pub cpu_seconds: f64,
    /// The most traced bytes ever live at one time.
    pub peak_bytes: u64,
    /// Directories of the standard library and of installed packages: code that
    /// the user would not change.
    pub libraries: Vec<String>,
    /// The collector's work.
    pub collector: Collector,
    /// Garbage that only the collector could free, by shape and place.
    pub cycles: Vec<Cycles>,
    /// What grew while the program ran.
    pub growth: Growth,
    /// The files of the program's own modules; the one that was started comes first.
    pub sources: Vec<String>,
    /// Source that is in no file: the code of `-c`, a notebook's cells.
    pub texts: Vec<Text>,
    /// The largest list that each line of the program made.
    pub lists: Vec<BuiltList>,
    /// What was on the heap near peaks and at the end.
    pub heap: Heap,
}

/// Source that is in no file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Text {
    /// How its code objects name their file: `<string>`, `<ipython-input-3-…>`.
    pub file: String,
    /// What it says.
    pub text: String,
}

/// A source line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// Its file, as its code object names it.
    pub file: String,
    /// Its number, from 1; 0 where it is not known.
    pub line: u32,
}

impl Observations {
    /// Of a traceback, innermost line first, the line that the user would
    /// change: the first that is in no library, and not in code that a library has
    /// written (a dataclass's `__init__`) if there is another; else the innermost.
    #[must_use]
    pub fn own_line<'a>(&self, frames: &'a [Line]) -> Option<&'a Line> {
        let own = || frames.iter().filter(|line| !self.is_library(&line.file));
        let is_written = |line: &&Line| !is_generated(&line.file);
        own()
            .find(is_written)
            .or_else(|| own().next())
            .or(frames.first())
    }

    /// Whether a file belongs to the standard library or an installed package.
    #[must_use]
    pub fn is_library(&self, file: &str) -> bool {
        file.starts_with("<frozen ")
            || self
                .libraries
                .iter()
                .any(|directory| Path::new(file).starts_with(directory))
    }
}

/// Whether a file's name is that of code without a file, other than a notebook's.
fn is_generated(file: &str) -> bool {
    file.starts_with('<') && file != NOTEBOOK && !file.starts_with(CELL)
}

#[cfg(test)]
mod tests {
    use super::{Line, Observations};

    #[test]
    fn generated_code_is_told_of_by_its_caller() {
        let observations = Observations {
            libraries: vec!["/lib".into()],
            ..Observations::default()
        };
        let own = |files: &[&str]| {
            let lines = files.iter().map(|file| Line {
                file: (*file).into(),
                line: 1,
            });
            let lines: Vec<_> = lines.collect();
            observations.own_line(&lines).map(|line| line.file.clone())
        };
        let is = |file: &str| Some(file.to_string());
        assert_eq!(own(&["<string>", "/lib/a.py", "app.py"]), is("app.py"));
        assert_eq!(own(&["/lib/a.py", "<string>", "/lib/b.py"]), is("<string>"));
        assert_eq!(own(&["/lib/a.py", "/lib/b.py"]), is("/lib/a.py"));
        assert_eq!(
            own(&["<ipython-input-3-x>", "app.py"]),
            is("<ipython-input-3-x>")
        );
        assert_eq!(own(&[]), None);
    }
}

//! What looks at the whole heap have found: near peaks of memory, and at the end.

use serde::{Deserialize, Serialize};

use super::Line;

/// What keeps something large alive.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// A module's variable.
    #[default]
    Global,
    /// A class's attribute.
    ClassAttribute,
    /// A function's variable, while it runs.
    Local,
    /// A parameter's default value.
    DefaultArgument,
    /// A `functools.lru_cache` or `functools.cache`.
    Cache,
    /// A function's variable that functions written in it use.
    Closure,
    /// What a notebook keeps of its results.
    History,
}

/// A name that alone keeps memory alive: without it, the bytes were free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    /// What kind of name.
    pub kind: HolderKind,
    /// The file of the module or function.
    pub file: String,
    /// The name: `CACHE`, `Session.log`, `text`.
    pub name: String,
    /// The function, where it is one's.
    pub function: String,
    /// The line at which the function's code begins; 0 for modules and classes.
    pub first_line: u32,
    /// The line that was being run then; 0 if the code had run to its end.
    pub at_line: u32,
    /// The type of what it stands for.
    pub type_name: String,
    /// How many items that has.
    pub items: u64,
    /// The bytes that only this name kept, at most: while its code ran, if it was seen
    /// then.
    pub bytes: u64,
    /// The same at any time, and how many items there were then.
    pub most_bytes: u64,
    /// See `most_bytes`.
    pub most_items: u64,
    /// The most that was traced at that moment.
    pub traced_bytes: u64,
    /// Of a cache: how often it was asked in vain and with success, and whether it
    /// has a largest size.
    pub cache: Option<CacheUse>,
    /// Of a closure's variable that only functions hold: the lines at which their
    /// code begins, how many variables of this name there are, and the path from a
    /// root to the one that keeps most.
    pub users: Vec<u32>,
    /// See `users`. Of a notebook's history the number of the cell, or 0.
    pub count: u64,
    /// See `users`.
    pub path: String,
}

/// How a cache was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheUse {
    /// Answers that were there.
    pub hits: u64,
    /// Answers that had to be computed.
    pub misses: u64,
    /// It forgets what was not used for long.
    pub is_bounded: bool,
}

/// The instances of one class that have a `__dict__`, or room for one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instances {
    /// The module's file.
    pub file: String,
    /// The class.
    pub class: String,
    /// A line that makes them.
    pub line: Line,
    /// How many there were, at most.
    pub count: u64,
    /// Their bytes, with those of their attributes' tables.
    pub bytes: u64,
    /// The most attributes that one had.
    pub attributes: u64,
    /// What they would take with `__slots__` for these attributes.
    pub slots_bytes: u64,
}

/// Equal strings or tuples that are objects of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Duplicates {
    /// Where they were made.
    pub line: Line,
    /// How many could be spared.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many different strings they are copies of.
    pub different: u64,
    /// One of them, shortened.
    pub example: String,
    /// Where a library that was called there allocated one of them.
    pub made_in: Option<Line>,
}

impl Duplicates {
    /// Whether there are many copies of few: else sharing costs as much as it saves.
    #[must_use]
    pub fn is_worth_sharing(&self) -> bool {
        self.count >= 2 * self.different
    }
}

/// A container with room for far more than it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Oversized {
    /// Where its room was made.
    pub line: Line,
    /// `list`, `dict` or `set`.
    pub type_name: String,
    /// How many items it has.
    pub items: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What a new one with the same items takes.
    pub fitting_bytes: u64,
    /// How many there are at that line.
    pub count: u64,
    /// Who holds the largest, in words.
    pub path: String,
}

/// A list of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Where its items' places were allocated.
    pub line: Line,
    /// `int` or `float`.
    pub type_name: String,
    /// How many numbers.
    pub items: u64,
    /// The list's bytes and those of numbers that nobody else holds.
    pub bytes: u64,
    /// What an array takes.
    pub array_bytes: u64,
    /// It was there for longer than one look.
    pub stays: bool,
    /// Who holds it, in words.
    pub path: String,
}

/// All that looks at the heap have found; of each the largest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heap {
    /// How many looks there were.
    pub looks: u64,
    /// Names that keep much alive.
    pub held: Vec<Held>,
    /// Classes with many instances.
    pub instances: Vec<Instances>,
    /// Copies of strings.
    pub duplicates: Vec<Duplicates>,
    /// Copies of tuples, with what only they hold.
    pub tuples: Vec<Duplicates>,
    /// Containers with too much room.
    pub oversized: Vec<Oversized>,
    /// Lists of numbers.
    pub numbers: Vec<Numbers>,
}

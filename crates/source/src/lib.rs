//! What can be told from the source of a Python module: which lists are built
//! to be iterated once, where a name is used for the last time, what is never
//! taken out of a container.
//!
//! [`Module::read`] parses (with ruff's parser, which knows the syntax of every
//! supported version) and collects *facts*: each scope's names with all that is
//! done to them, in the order in which it happens. Questions are answered from
//! the facts. Nothing here knows how large anything is: what is found is only
//! worth mentioning if a run has measured it.
//!
//! In doubt the answer is "innocent". A name that is used twice, or under a
//! condition, or handed to a function nobody knows, may need its list.
#![forbid(unsafe_code)]

mod callee;
mod effects;
mod events;
mod lifetimes;
mod lists;
mod piles;
mod results;
mod walk;

use std::collections::{HashMap, HashSet};

pub use events::{Builder, Consumer};
pub use lifetimes::Growth;
pub use lists::SinglePass;

use events::Facts;

/// Why a text could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Is what `adder`, a function, adds to `container` read when all of it has been
/// added, and not before? The container is a variable or attribute of this name in
/// one of the program's modules. Then it is what the program is there to compute.
pub fn is_result(modules: &[&Module], container: &str, adder: &str) -> bool {
    let all: Vec<&Facts> = modules.iter().map(|module| &module.facts).collect();
    results::is_result(&all, container, adder)
}

/// Is the variable or attribute of this name, in all of the program's modules, added to
/// and never read, but for how much there is and for what came last?
pub fn is_pile(modules: &[&Module], container: &str) -> bool {
    let all: Vec<&Facts> = modules.iter().map(|module| &module.facts).collect();
    piles::is_pile(&all, container)
}

/// Is it asked anywhere whether something is in the variable or attribute of this name?
pub fn is_asked(modules: &[&Module], container: &str) -> bool {
    let all: Vec<&Facts> = modules.iter().map(|module| &module.facts).collect();
    piles::is_asked(&all, container)
}

/// One module's source, read.
pub struct Module {
    facts: Facts,
}

impl Module {
    /// Parses `source`. Linear in its length.
    ///
    /// # Errors
    /// It is no Python.
    pub fn read(source: &str) -> Result<Self, Unreadable> {
        let facts = walk::read(source)?;
        Ok(Self { facts })
    }

    /// Names that this module imports from others, as it was written: `a.b.name`.
    pub fn imported(&self) -> HashSet<&str> {
        self.facts.imports.values().map(String::as_str).collect()
    }

    /// The lists that are built to be iterated once, in the order of their lines.
    /// `foreign` has names that other modules take from this one: what they refer
    /// to is used in ways that cannot be seen here.
    pub fn single_passes(&self, foreign: &HashSet<String>) -> Vec<SinglePass> {
        lists::find(&self.facts, foreign)
    }

    /// Is a local variable of the function whose code begins at `first_line`
    /// never used again once that function is at `line`? No where it cannot be
    /// told: variables that closures share, or that are bound anew in a loop.
    ///
    /// For a module's own names `first_line` is 0: then uses in functions count
    /// as uses at any time.
    pub fn is_unused_from(&self, first_line: u32, name: &str, line: u32) -> bool {
        lifetimes::is_unused_from(&self.facts, first_line, name, line)
    }

    /// The same of a variable that functions written in that function use, if none
    /// of these exists any more: can none be made that uses it again?
    pub fn is_shared_unused_from(&self, first_line: u32, name: &str, line: u32) -> bool {
        lifetimes::is_shared_unused_from(&self.facts, first_line, name, line)
    }

    /// Does the function (or lambda) whose code begins at `first_line` use a variable
    /// of a function around it only for its length or its truth?
    pub fn only_measures(&self, first_line: u32, name: &str) -> bool {
        lifetimes::only_measures(&self.facts, first_line, name)
    }

    /// The last line before `line` that uses the variable.
    pub fn last_use(&self, first_line: u32, name: &str, line: u32) -> Option<u32> {
        lifetimes::last_use(&self.facts, first_line, name, line)
    }

    /// Containers in a module's or class's namespace that functions add to and
    /// nobody takes from, by their names (`CACHE`, `Session.log`).
    pub fn growing(&self) -> HashMap<String, Growth> {
        lifetimes::growing(&self.facts)
    }

    /// Does the function that begins at `first_line` change what a parameter's
    /// default value holds? With the line.
    pub fn changed_default(&self, first_line: u32, parameter: &str) -> Option<u32> {
        lifetimes::changed_default(&self.facts, first_line, parameter)
    }

    /// Is a local variable of the function whose code begins at `first_line` a container
    /// that is only added to, there and in the functions that it is given to?
    /// See [`is_pile`].
    pub fn is_local_pile(&self, first_line: u32, name: &str) -> bool {
        piles::is_local_pile(&self.facts, first_line, name)
    }

    /// The line where a function's variable is bound last before `line`.
    pub fn bound_in(&self, first_line: u32, name: &str, line: u32) -> Option<u32> {
        lifetimes::bound_in(&self.facts, first_line, name, line)
    }

    /// The line at which a function's or class's definition begins, decorators
    /// included; `Class.name` is a method's.
    pub fn defined_at(&self, name: &str) -> Option<u32> {
        lifetimes::defined_at(&self.facts, name)
    }

    /// Is an attribute of this name read anywhere, of whatever object?
    pub fn reads_attribute(&self, name: &str) -> bool {
        self.facts.loose_attributes.contains(name) || self.facts.method_calls.contains_key(name)
    }

    /// Does it look at attributes by names that it computes?
    pub fn is_dynamic(&self) -> bool {
        self.facts.is_dynamic || self.facts.loose_attributes.contains("__dict__")
    }
}

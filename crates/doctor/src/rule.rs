//! The rules: their codes, what they say of themselves, and how they are found.

use crate::finding::Finding;
use crate::observations::{Line, Observations};
use crate::quantity::Quantity;

/// Something that may be wrong, and how to see it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `W101`: a letter, the group, a number in it. Stable.
    pub code: &'static str,
    /// A few words joined by hyphens. Stable.
    pub name: &'static str,
    /// What it finds, in one line.
    pub summary: &'static str,
    /// All about it, as Markdown, with an example before and after.
    pub explanation: &'static str,
    /// What a finding must save at least, unless the settings say otherwise.
    pub threshold: Quantity,
    /// Looks for it. What is below the threshold is dropped by the caller.
    pub check: fn(&Observations) -> Vec<Finding>,
}

impl Rule {
    /// A finding of this rule at a place, with the rest still to be filled in.
    #[must_use]
    pub fn finding(&self, file: &str, line: u32) -> Finding {
        Finding {
            code: self.code.into(),
            name: self.name.into(),
            file: file.into(),
            line,
            ..Finding::default()
        }
    }

    /// A finding at the line of a traceback that the user would change; without
    /// one, of the file `otherwise`.
    #[must_use]
    pub fn finding_in(
        &self,
        observations: &Observations,
        frames: &[Line],
        otherwise: &str,
    ) -> Finding {
        match observations.own_line(frames) {
            Some(line) => self.finding(&line.file, line.line),
            None => self.finding(otherwise, 0),
        }
    }
}

/// All rules, in the order of their codes.
#[must_use]
pub fn rules() -> &'static [&'static Rule] {
    crate::rules::ALL
}

/// The rule with this code, in capitals or not, or with this name.
#[must_use]
pub fn rule(word: &str) -> Option<&'static Rule> {
    let is_it = |rule: &&&Rule| rule.code.eq_ignore_ascii_case(word) || rule.name == word;
    rules().iter().find(is_it).copied()
}

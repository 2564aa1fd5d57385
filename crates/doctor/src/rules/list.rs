//! What the rules about lists share: which measured list is which in the source.

use std::collections::HashSet;
use std::rc::Rc;

use wrasse_report::units::{count, size};
use wrasse_source::{Builder, Module, SinglePass};

use crate::finding::Finding;
use crate::modules;
use crate::observations::{BuiltList, Held, HolderKind, Line, Observations};
use crate::rule::Rule;

/// What a generator and its frame take, about.
const GENERATOR: u64 = 256;

/// What a list must save to be told of: the threshold of the rules about lists.
pub const COSTLY: u64 = 1 << 20;

/// A list that was measured, and that the source says is iterated once.
pub struct Needless {
    /// Its file.
    pub file: String,
    /// What the source says.
    pub pass: SinglePass,
    /// What was measured.
    pub list: BuiltList,
}

/// All lists that `is_mine` wants.
pub fn needless(
    observations: &Observations,
    is_mine: impl Fn(&SinglePass) -> bool,
) -> Vec<Needless> {
    let mut found: Vec<Needless> = Vec::new();
    let mut files: Vec<&str> = observations
        .lists
        .iter()
        .map(|list| list.line.file.as_str())
        .collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let Some(module) = modules::read(file) else {
            continue;
        };
        let is_main = observations
            .sources
            .first()
            .is_some_and(|main| modules::is_same(main, file));
        let passes = module.single_passes(&foreign(observations, file));
        for pass in passes {
            if pass.is_global && !is_main || !is_mine(&pass) {
                continue;
            }
            let measured = observations.lists.iter().filter(|list| {
                list.line.file == file
                    && (pass.first_line..=pass.last_line).contains(&list.line.line)
                    && is_kind(&pass.builder, &list.kind)
            });
            if let Some(list) = measured.max_by_key(|list| list.own_bytes + list.item_bytes) {
                found.push(Needless {
                    file: file.to_string(),
                    pass,
                    list: list.clone(),
                });
            }
        }
    }
    found
}

/// Those that save enough to be told of: other rules leave these, and only these, to
/// the rules about lists.
pub fn costly(observations: &Observations) -> Vec<Needless> {
    let mut lists = needless(observations, |_| true);
    lists.retain(|each| each.saved() >= COSTLY);
    lists
}

/// What names of one kind keep, where that is one `share`-th of all that is traced or
/// more, with the modules they are in. What should be no list at all need not go sooner,
/// and is left out.
pub fn kept(
    observations: &Observations,
    kind: HolderKind,
    share: u64,
) -> impl Iterator<Item = (&Held, Rc<Module>)> {
    let needless = costly(observations);
    let is_wanted = move |held: &&Held| {
        held.kind == kind
            && held.bytes >= held.traced_bytes / share
            && !needless.iter().any(|list| list.is_held_by(held))
    };
    let all = observations.heap.held.iter().filter(is_wanted);
    all.filter_map(|held| Some((held, modules::read(&held.file)?)))
}

fn is_kind(builder: &Builder, kind: &str) -> bool {
    match builder {
        Builder::Copy(name) if name == "tuple" => kind == "tuple",
        _ => kind == "list",
    }
}

/// Names that the program's other modules import.
pub fn foreign(observations: &Observations, file: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for other in &observations.sources {
        if modules::is_same(other, file) {
            continue;
        }
        let module: Option<Rc<Module>> = modules::read(other);
        for full in module.iter().flat_map(|module| module.imported()) {
            names.extend(full.rsplit('.').next().map(String::from));
        }
    }
    names
}

impl Needless {
    /// Whether it is what a variable keeps: that need not go sooner, but never be.
    pub fn is_held_by(&self, held: &Held) -> bool {
        self.file == held.file && self.pass.name.as_ref() == Some(&held.name)
    }

    /// Whether its items were made in this line.
    pub fn is_from(&self, line: &Line) -> bool {
        self.list.line == *line
    }

    /// Bytes that would not be held if there were no list.
    pub fn saved(&self) -> u64 {
        let list = &self.list;
        let gone = match self.pass.keeps_items {
            true => 0.0,
            false => list.item_bytes as f64 * (1.0 - list.kept),
        };
        let one = gone / list.items.max(1) as f64;
        (list.own_bytes + gone as u64).saturating_sub(one as u64 + GENERATOR)
    }

    /// The finding, but for the fix.
    pub fn finding(&self, rule: &Rule) -> Finding {
        let (list, pass) = (&self.list, &self.pass);
        let mut finding = rule.finding(&self.file, pass.line);
        finding.bytes = Some(self.saved());
        let name = match (&pass.function, &pass.name) {
            (Some(function), _) => format!(" that {function}() returns"),
            (None, Some(name)) => format!(" '{name}'"),
            (None, None) => String::new(),
        };
        let items = count(list.items);
        finding.message = format!(
            "the {}{name} of {items} items is built only for {}, which needs one at a time",
            list.kind,
            self.consumer()
        );
        let mut held = format!(
            "when it was largest: {items} items, {} for the {}",
            size(list.own_bytes),
            list.kind
        );
        let rest = size(list.item_bytes);
        if list.item_bytes == 0 {
            held.push_str("; its items are held elsewhere, too");
        } else if pass.keeps_items {
            held.push_str(&format!(
                "; the items ({rest}) are kept by {}",
                pass.consumer
            ));
        } else if list.kept > 0.05 {
            held.push_str(&format!(
                " and {rest} for the items, of which {:.0} % are kept",
                100.0 * list.kept
            ));
        } else {
            held.push_str(&format!(" and {rest} for items that nothing else holds"));
        }
        finding.evidence.push(held);
        let one = match pass.keeps_items {
            true => 0,
            false => list.item_bytes / list.items.max(1),
        };
        finding.evidence.push(format!(
            "a generator would hold one item: {}",
            size(one + GENERATOR)
        ));
        finding
    }

    /// What else to do, if the file is closed by then.
    pub fn while_open(&self) -> &str {
        match self.pass.is_behind_file {
            true => "; move what iterates over it into the 'with', where the file is open",
            false => "",
        }
    }

    /// What iterates over it, and where if that is another line.
    pub fn consumer(&self) -> String {
        let pass = &self.pass;
        let what = match pass.consumer.as_str() {
            "for" => "the 'for' loop".to_string(),
            "in" => "the 'in' test".to_string(),
            "comprehension" => "another comprehension".to_string(),
            other => other.to_string(),
        };
        match pass.consumer_line == pass.line {
            true => what,
            false => format!(
                "{what} in {}",
                modules::line(&self.file, pass.consumer_line)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::observations::Duplicates;
    use crate::rule::rule;

    #[test]
    fn only_what_is_told_of_is_left_to_these_rules() {
        let name = format!("wrasse-lists-{}.py", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(
            &path,
            "def work(n):\n    return sum([x for x in range(n)])\n",
        )
        .unwrap();
        let line = Line {
            file: path.to_string_lossy().into_owned(),
            line: 2,
        };
        let mut observations = Observations::default();
        observations.heap.duplicates = vec![Duplicates {
            line: line.clone(),
            count: 1000,
            different: 1,
            bytes: 5 << 20,
            ..Duplicates::default()
        }];
        let check = rule("W502").unwrap().check;
        let mut told = Vec::new();
        for own_bytes in [COSTLY / 2, 2 * COSTLY] {
            observations.lists = vec![BuiltList {
                line: line.clone(),
                kind: "list".into(),
                items: 1000,
                own_bytes,
                ..BuiltList::default()
            }];
            told.push((
                needless(&observations, |_| true).len(),
                costly(&observations).len(),
                check(&observations).len(),
            ));
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(told, [(1, 0, 1), (1, 1, 0)]);
    }
}

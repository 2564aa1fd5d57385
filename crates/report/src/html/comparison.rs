//! What two recordings differ in beside who allocated: figures, types, findings, in
//! tables and in words.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::calls::Calls;
use super::timeline::Timeline;
use super::words::{percent, place, seconds};
use crate::look::{Finding, Looks};
use crate::recording::Recording;
use crate::stats::Stats;
use crate::text::printable;
use crate::units::{count, size};

/// Types that have a row.
const MOST_TYPES: usize = 5_000;

/// All of it.
#[derive(Serialize)]
pub struct Comparison {
    /// The older recording's.
    facts: Stats,
    title: String,
    timeline: Timeline,
    /// Those whose objects are not as many, or not as large; the largest change first.
    types: Option<Vec<TypeChange>>,
    /// Findings, where both were examined.
    findings: Option<Findings>,
}

/// The objects of one type at the end, before and after.
#[derive(Serialize)]
struct TypeChange {
    #[serde(rename = "type")]
    name: String,
    count: [u64; 2],
    bytes: [u64; 2],
}

impl TypeChange {
    fn bytes_more(&self) -> i64 {
        self.bytes[1].wrapping_sub(self.bytes[0]) as i64
    }
}

/// What the doctor says, before and after.
#[derive(Serialize)]
struct Findings {
    new: Vec<Finding>,
    gone: Vec<Finding>,
    /// As it is after.
    both: Vec<Finding>,
}

impl Comparison {
    /// What `new` differs in from `old`.
    pub fn new(old: &Recording, new: &Recording) -> Self {
        let (before, after) = (Looks::read(&old.capture), Looks::read(&new.capture));
        Comparison {
            facts: Stats::new(old).without_timeline(),
            title: printable(&old.title()),
            timeline: Timeline::new(old),
            types: types(&before, &after),
            findings: findings(before, after),
        }
    }

    /// The difference in a few sentences.
    pub fn words(&self, old: &Recording, new: &Recording, calls: &Calls) -> Vec<String> {
        let mut words = vec![runs(old, new)];
        let (Some(before), Some(after)) = (old.capture.samples.last(), new.capture.samples.last())
        else {
            words.push("One of the captures has no sample: there is nothing to compare.".into());
            return words;
        };
        let mut memory = vec![
            change("The peak", before.peak_bytes, after.peak_bytes, size),
            change(
                "what was left at the end",
                before.live_bytes,
                after.live_bytes,
                size,
            ),
        ];
        if old.counts_allocations() && new.counts_allocations() {
            let (before, after) = (before.allocated_bytes, after.allocated_bytes);
            memory.push(change("what was allocated in all", before, after, size));
        }
        words.push(format!("{}.", memory.join("; ")));
        for (measure, when) in [(0, "at the peak"), (1, "at the end")] {
            lines(calls, measure, when, &mut words);
        }
        self.type_words(&mut words);
        let pauses = |recording: &Recording| {
            let pauses = recording.capture.pauses.iter();
            pauses.fold(0_u64, |sum, pause| sum.saturating_add(pause.duration))
        };
        words.push(format!(
            "{}; {}.",
            change("The time", old.duration(), new.duration(), seconds),
            change("pauses of the collector", pauses(old), pauses(new), seconds)
        ));
        if let Some(findings) = &self.findings {
            words.push(match (findings.new.len(), findings.gone.len()) {
                (0, 0) => "The doctor says the same of both.".into(),
                (new, gone) => format!(
                    "The doctor found {} that was not there before; {} that was there is gone.",
                    things(new),
                    things(gone)
                ),
            });
        }
        let frames = [old, new].map(|each| each.capture.meta.frames);
        if frames[0] != frames[1] {
            words.push(format!(
                "The captures keep {} and {} frames of a traceback: callers are compared only as far as both go, and the flame graph is of little use. Lines and functions are.",
                frames[0], frames[1]
            ));
        }
        words
    }

    fn type_words(&self, words: &mut Vec<String>) {
        let Some(types) = &self.types else { return };
        let Some(most) = types.iter().max_by_key(|each| each.bytes_more()) else {
            return;
        };
        if most.bytes_more() > 0 {
            words.push(format!(
                "The type that grew most at the end is {}: from {} objects to {}, {} more.",
                most.name,
                count(most.count[0]),
                count(most.count[1]),
                size(most.bytes_more().unsigned_abs())
            ));
        }
    }
}

fn things(number: usize) -> String {
    match number {
        0 => "nothing".into(),
        1 => "one thing".into(),
        number => format!("{number} things"),
    }
}

fn runs(old: &Recording, new: &Recording) -> String {
    let run = |each: &Recording| {
        let (title, host) = (printable(&each.title()), printable(&each.capture.meta.host));
        format!("{title} on {host}")
    };
    let (before, after) = (run(old), run(new));
    match before == after {
        true => format!("Two runs of {after}, one before and one after."),
        false => format!("Before: {before}. After: {after}."),
    }
}

/// `name` is now so much, which was so much.
fn change(name: &str, before: u64, after: u64, show: impl Fn(u64) -> String) -> String {
    let more = match after.cmp(&before) {
        std::cmp::Ordering::Equal => return format!("{name} is the same, {}", show(after)),
        std::cmp::Ordering::Greater => format!("{} more", show(after - before)),
        std::cmp::Ordering::Less => format!("{} less", show(before - after)),
    };
    let share = match before {
        0 => String::new(),
        _ => format!(" ({})", percent(after.abs_diff(before), before)),
    };
    format!(
        "{name} is {} instead of {}, {more}{share}",
        show(after),
        show(before)
    )
}

/// Which line grew most, and which shrank most.
fn lines(calls: &Calls, measure: usize, when: &str, words: &mut Vec<String>) {
    let half = calls.whole.len() / 2;
    let group = &calls.groups[0];
    if measure >= half {
        return;
    }
    let changes: Vec<([u32; 4], u64, u64)> = group
        .rows
        .iter()
        .map(|row| {
            let name = group.names[row.name as usize];
            (name, row.own[half + measure][0], row.own[measure][0])
        })
        .collect();
    let grown = |(_, before, after): &&([u32; 4], u64, u64)| after.saturating_sub(*before);
    let shrunk = |(_, before, after): &&([u32; 4], u64, u64)| before.saturating_sub(*after);
    let mut text = Vec::new();
    if let Some(most) = changes.iter().max_by_key(grown)
        && grown(&most) > 0
    {
        text.push(format!(
            "The line that grew most {when} is {}: {} more, from {} to {}",
            place(calls, most.0),
            size(grown(&most)),
            size(most.1),
            size(most.2)
        ));
    }
    let largest = changes.iter().map(|each| grown(&each)).max();
    if let Some(most) = changes.iter().max_by_key(shrunk)
        // A few bytes are no news beside what grew.
        && shrunk(&most) > largest.unwrap_or(0) / 100
    {
        let when = if text.is_empty() { when } else { "of all" };
        text.push(format!(
            "{} shrank most {when}, by {}",
            place(calls, most.0),
            size(shrunk(&most))
        ));
    }
    if !text.is_empty() {
        words.push(format!("{}.", text.join("; ")));
    }
}

fn types(before: &Looks, after: &Looks) -> Option<Vec<TypeChange>> {
    let mut all: HashMap<&str, TypeChange> = HashMap::new();
    for (at, looks) in [before, after].into_iter().enumerate() {
        for row in looks.types.as_ref()? {
            let change = all.entry(&row.name).or_insert_with(|| TypeChange {
                name: printable(&row.name),
                count: [0; 2],
                bytes: [0; 2],
            });
            // Two types may have one name.
            change.count[at] = change.count[at].saturating_add(row.count);
            change.bytes[at] = change.bytes[at].saturating_add(row.bytes);
        }
    }
    let mut changes: Vec<TypeChange> = all.into_values().collect();
    changes.retain(|each| each.count[0] != each.count[1] || each.bytes[0] != each.bytes[1]);
    changes.sort_by(|one, other| {
        let by_bytes = Reverse(one.bytes_more().unsigned_abs())
            .cmp(&Reverse(other.bytes_more().unsigned_abs()));
        by_bytes.then_with(|| one.name.cmp(&other.name))
    });
    changes.truncate(MOST_TYPES);
    Some(changes)
}

/// Findings are the same if rule, file and words are, whatever the line: lines move.
fn findings(before: Looks, after: Looks) -> Option<Findings> {
    let (before, after) = (before.findings?, after.findings?);
    // Without the figures, which are never twice the same.
    let what = |finding: &Finding| {
        let words: String = finding
            .message
            .chars()
            .filter(|c| !c.is_numeric())
            .collect();
        (finding.code.clone(), finding.file.clone(), words)
    };
    let (old, new): (HashSet<_>, HashSet<_>) = (
        before.iter().map(what).collect(),
        after.iter().map(what).collect(),
    );
    let gone = before.into_iter().filter(|each| !new.contains(&what(each)));
    let gone = gone.collect();
    let (both, new) = after
        .into_iter()
        .partition(|each| old.contains(&what(each)));
    Some(Findings { new, gone, both })
}

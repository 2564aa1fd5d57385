//! W603: full collections that find nothing.

use wrasse_report::units::{count, duration};

use crate::finding::Finding;
use crate::observations::{Line, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

/// From which part of the processor's time on it is worth a word.
const SHARE: f64 = 0.05;

pub const RULE: Rule = Rule {
    code: "W603",
    name: "idle-collections",
    summary: "full collections that go through all objects and find nothing",
    explanation: include_str!("w603.md"),
    threshold: Quantity::Milliseconds(50.0),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let collector = &observations.collector;
    let seconds = collector.idle_full_seconds;
    if collector.idle_full == 0 || seconds < SHARE * observations.cpu_seconds {
        return Vec::new();
    }
    let main = collector.main_place(seconds, |place| place.idle_full_seconds);
    let frames: &[Line] = main.map_or(&[], |place| &place.frames);
    let mut finding = RULE.finding_in(observations, frames, &observations.program);
    finding.milliseconds = Some(seconds * 1e3);
    let what = match collector.idle_full {
        1 => "a full collection".to_string(),
        number => format!("{} full collections", count(number)),
    };
    finding.message = format!("{what} found nothing to free");
    finding.evidence.push(format!(
        "{} in all, up to {} objects looked at",
        duration(seconds),
        count(collector.idle_full_objects)
    ));
    finding.fix = match main.filter(|place| place.asked) {
        Some(place) => format!(
            "{} of them are calls of gc.collect() here: leave them out, or call gc.freeze() before the loop",
            count(place.idle_full)
        ),
        None => "call gc.disable() while large structures are built, and gc.freeze() when they stay: what was made until then is not looked at again".into(),
    };
    vec![finding]
}

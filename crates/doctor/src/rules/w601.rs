//! W601: the collector takes a good part of the time.

use wrasse_report::units::{count, duration};

use crate::finding::Finding;
use crate::observations::{Line, Observations};
use crate::quantity::Quantity;
use crate::rule::Rule;

/// From which part of the processor's time on it is worth a word.
const SHARE: f64 = 0.10;
/// Where full collections without effect take so much of it, W603 says it better.
const IDLE: f64 = 0.7;

pub const RULE: Rule = Rule {
    code: "W601",
    name: "collector-time",
    summary: "a good part of the time goes into the garbage collector",
    explanation: include_str!("w601.md"),
    threshold: Quantity::Milliseconds(50.0),
    check,
};

fn check(observations: &Observations) -> Vec<Finding> {
    let collector = &observations.collector;
    let seconds = collector.all_seconds();
    let whole = observations.cpu_seconds;
    if whole <= 0.0 || seconds < SHARE * whole || collector.idle_full_seconds > IDLE * seconds {
        return Vec::new();
    }
    let main = collector
        .main_place(seconds, |place| place.seconds)
        .filter(|place| place.asked);
    let frames: &[Line] = match main {
        Some(place) => &place.frames,
        None => &collector.thresholds_set_at,
    };
    let mut finding = RULE.finding_in(observations, frames, &observations.program);
    finding.milliseconds = Some(seconds * 1e3);
    finding.message = format!(
        "{:.0} % of the processor's time went into the garbage collector",
        100.0 * seconds / whole
    );
    for (generation, number) in collector.collections.iter().enumerate() {
        if *number > 0 {
            finding.evidence.push(format!(
                "generation {generation}: {} collections, {}, {} objects freed",
                count(*number),
                duration(collector.seconds[generation]),
                count(collector.collected[generation])
            ));
        }
    }
    let freed: u64 = collector.collected.iter().sum();
    finding.fix = if let Some(place) = main {
        format!(
            "{} collections ({}) are calls of gc.collect() here: leave them to the collector",
            count(place.count),
            duration(place.seconds)
        )
    } else if let Some([first, second, third]) = collector.thresholds {
        format!(
            "the thresholds set here ({first}, {second}, {third}) make collections frequent: raise the first, or leave gc.set_threshold out"
        )
    } else if freed == 0 {
        "nothing was freed by it: call gc.freeze() when start-up is done, or gc.disable() while large structures are built".into()
    } else {
        "break the cycles that make its work (W101), and call gc.freeze() when start-up is done"
            .into()
    };
    vec![finding]
}

//! A recording in a few sentences, for somebody who reads nothing else.

use wrasse_capture::Ending;

use super::calls::Calls;
use crate::look::Looks;
use crate::recording::{Recording, Row};
use crate::text::printable;
use crate::units::{self, count, duration, size};

/// The measures' order, see [`super::measures`].
const PEAK: usize = 0;
const LIVE: usize = 1;

/// Nanoseconds, for people.
pub fn seconds(nanoseconds: u64) -> String {
    duration(units::seconds(nanoseconds))
}

/// A part of a whole.
pub fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// The sentences.
pub fn summary(recording: &Recording, calls: &Calls, looks: &Looks) -> Vec<String> {
    let capture = &recording.capture;
    let mut words = vec![run(recording)];
    match capture.samples.last() {
        None => {
            words.push(
                "The capture has no sample: the program ended before the first was due.".into(),
            );
            return words;
        }
        Some(_) => memory(recording, &mut words),
    }
    lines(calls, PEAK, "at the peak", &mut words);
    let last = capture.samples.last().map_or(0, |last| last.live_bytes);
    let peak = capture
        .peak_sample()
        .map_or(0, |at| capture.samples[at].live_bytes);
    if last * 2 > peak && last > 1 << 20 {
        words.push(format!(
            "{} of the peak is still there at the end: what the program keeps to its end, or leaks.",
            percent(last, peak)
        ));
    } else if last > 1 << 20 {
        lines(calls, LIVE, "at the end", &mut words);
    }
    shortened(recording, calls, &mut words);
    pauses(recording, &mut words);
    found(looks, &mut words);
    words
}

fn run(recording: &Recording) -> String {
    let capture = &recording.capture;
    let took = seconds(recording.duration());
    let host = printable(&capture.meta.host);
    let title = printable(&recording.title());
    match capture.end.map(|end| end.ending) {
        Some(Ending::Finished) => format!("{title} ran for {took} on {host}."),
        Some(Ending::Signal(number)) => {
            format!("{title} ran for {took} on {host}, until signal {number} ended it.")
        }
        Some(Ending::Stopped) => format!(
            "{title} ran on {host}; the capture stopped after {took}, before the program did."
        ),
        None => format!(
            "{title} ran on {host}. The capture is cut off after {took}: the program was killed, or is still running."
        ),
    }
}

fn memory(recording: &Recording, words: &mut Vec<String>) {
    let capture = &recording.capture;
    let last = capture.samples.last().copied().unwrap_or_default();
    let sampled = capture.peak_sample().map(|at| capture.samples[at]);
    let sampled = sampled.unwrap_or_default();
    let mut text = format!(
        "At most {} were allocated at one time",
        size(last.peak_bytes)
    );
    if capture.peak().is_some() || sampled.live_bytes == last.peak_bytes {
        text.push_str(&format!(
            ", about {} after the start",
            seconds(sampled.time)
        ));
    } else {
        text.push_str(&format!(
            "; the sample nearest to that, {} after the start, has {}, and what is said of the peak is from there",
            seconds(sampled.time),
            size(sampled.live_bytes)
        ));
    }
    let resident = capture
        .samples
        .iter()
        .map(|sample| sample.resident_bytes)
        .max();
    match resident {
        Some(resident) if resident > 0 => text.push_str(&format!(
            ". The whole process had up to {} of physical memory.",
            size(resident)
        )),
        _ => text.push('.'),
    }
    text.push_str(&format!(
        " {} in {} blocks were left at the end.",
        size(last.live_bytes),
        count(last.live_blocks)
    ));
    if recording.counts_allocations() {
        text.push_str(&format!(
            " Altogether {} were allocated, in {} blocks.",
            size(last.allocated_bytes),
            count(last.allocated_blocks)
        ));
    }
    if capture.counts_temporary() && last.allocated_blocks > 0 {
        text.push_str(&format!(
            " {} of those blocks were temporary: freed before the next one was made.",
            percent(last.temporary_blocks, last.allocated_blocks)
        ));
    }
    words.push(text);
}

/// A line, with its function.
pub fn place(calls: &Calls, [file, function, line, _]: [u32; 4]) -> String {
    let file = &calls.strings[file as usize];
    match function.checked_sub(1) {
        Some(function) => format!("{file}:{line} (in {})", calls.strings[function as usize]),
        None => format!("{file}:{line}"),
    }
}

/// Where most of a measure was allocated.
fn lines(calls: &Calls, measure: usize, when: &str, words: &mut Vec<String>) {
    let top = calls.top(0, measure);
    let whole = calls.whole[measure][0];
    let Some((name, bytes)) = top.first() else {
        return;
    };
    let place = place(calls, *name);
    let mut text = format!(
        "The line that held most {when} is {place}: {}, {}.",
        size(*bytes),
        percent(*bytes, whole)
    );
    let mut sum = 0;
    let few = top.iter().position(|(_, bytes)| {
        sum += bytes;
        sum * 5 >= whole * 4
    });
    if let Some(few) = few
        && few > 0
    {
        text.push_str(&format!(
            " {} lines account for {} of it.",
            count(few as u64 + 1),
            percent(sum, whole)
        ));
    }
    words.push(text);
}

fn shortened(recording: &Recording, calls: &Calls, words: &mut Vec<String>) {
    let cut = |row: &&Row| recording.capture.is_shortened(row.traceback);
    let bytes: u64 = recording
        .rows
        .iter()
        .filter(cut)
        .map(|row| row.peak.bytes)
        .sum();
    if bytes > 0 {
        words.push(format!(
            "{} of the peak come from tracebacks with more than the {} frames that were kept: their oldest callers are missing in the flame graph (wrasse run --trace=N keeps more).",
            percent(bytes, calls.whole[PEAK][0]),
            recording.capture.meta.frames
        ));
    }
}

fn pauses(recording: &Recording, words: &mut Vec<String>) {
    let pauses = &recording.capture.pauses;
    let longest = pauses.iter().map(|pause| pause.duration).max();
    let Some(longest) = longest else {
        words.push("There was no garbage collection while the capture was written.".into());
        return;
    };
    let total: u64 = pauses.iter().map(|pause| pause.duration).sum();
    let collected: u64 = pauses.iter().map(|pause| pause.collected).sum();
    let times = match pauses.len() {
        1 => "once".into(),
        number => format!("{} times", count(number as u64)),
    };
    let mut text = format!(
        "The garbage collector stopped the program {times}, for {} in all ({} of the time), {} the longest, and freed {} objects.",
        seconds(total),
        percent(total, recording.duration()),
        seconds(longest),
        count(collected)
    );
    let stuck: u64 = pauses.iter().map(|pause| pause.uncollectable).sum();
    if stuck > 0 {
        text.push_str(&format!(" {} could not be freed.", count(stuck)));
    }
    words.push(text);
}

fn found(looks: &Looks, words: &mut Vec<String>) {
    if let Some(findings) = &looks.findings {
        let bytes: u64 = findings.iter().filter_map(|each| each.bytes).sum();
        words.push(match (findings.len(), bytes) {
            (0, _) => "The doctor found nothing to mend.".into(),
            (1, 0) => "The doctor found one thing to mend.".into(),
            (1, bytes) => format!("The doctor found one thing to mend, worth {}.", size(bytes)),
            (number, 0) => format!("The doctor found {number} things to mend."),
            (number, bytes) => format!(
                "The doctor found {number} things to mend, worth up to {}.",
                size(bytes)
            ),
        });
    }
    if let Some(first) = looks.types.as_ref().and_then(|types| types.first()) {
        words.push(format!(
            "The type with the most memory at the end is {}: {} in {} objects.",
            printable(&first.name),
            size(first.bytes),
            count(first.count)
        ));
    }
    words.extend(looks.unreadable.iter().map(|line| printable(line)));
}

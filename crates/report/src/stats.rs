//! A recording as a whole: the process, its memory over time, its pauses.

use serde::Serialize;
use wrasse_capture::{Amount, Ending, Pause, ThreadTotals};

use crate::recording::Recording;
use crate::text::{printable, row};
use crate::units::{count, duration, seconds, size};

/// Columns of the picture of memory over time.
const WIDTH: usize = 60;
/// Its heights, the lowest first.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Threads named before the rest is left out.
const THREADS_SHOWN: usize = 10;

/// The figures of a whole recording.
#[derive(Debug, Serialize)]
pub struct Stats {
    /// Version of this form.
    schema: u32,
    command: Vec<String>,
    host: String,
    wrasse: String,
    process: u32,
    /// Nanoseconds since 1970.
    started_nanoseconds: u64,
    seconds: f64,
    ending: String,
    frames: u16,
    peak_bytes: u64,
    /// The most that was live at a sample, and when.
    sampled_peak_bytes: u64,
    sampled_peak_seconds: f64,
    end_bytes: u64,
    end_blocks: u64,
    resident_peak_bytes: u64,
    allocated_bytes: Option<u64>,
    allocated_blocks: Option<u64>,
    /// Freed before the next block was allocated.
    temporary_bytes: Option<u64>,
    temporary_blocks: Option<u64>,
    tracebacks: usize,
    pauses: Pauses,
    threads: Vec<Thread>,
    timeline: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Pauses {
    count: usize,
    total_seconds: f64,
    longest_seconds: f64,
    collected: u64,
}

#[derive(Debug, Serialize)]
struct Thread {
    number: u64,
    name: String,
    allocated_bytes: u64,
    allocated_blocks: u64,
    /// What follows is 0 where it was not counted.
    live_bytes: u64,
    live_blocks: u64,
    /// Live when most was, of all threads together.
    peak_bytes: u64,
    peak_blocks: u64,
    temporary_bytes: u64,
    temporary_blocks: u64,
}

impl Thread {
    fn new(thread: &ThreadTotals) -> Self {
        Thread {
            number: thread.number,
            name: String::from_utf8_lossy(&thread.name).into_owned(),
            allocated_bytes: thread.allocated.bytes,
            allocated_blocks: thread.allocated.blocks,
            live_bytes: thread.live.bytes,
            live_blocks: thread.live.blocks,
            peak_bytes: thread.peak.bytes,
            peak_blocks: thread.peak.blocks,
            temporary_bytes: thread.temporary.bytes,
            temporary_blocks: thread.temporary.blocks,
        }
    }

    /// Its number and name, as far as they are known.
    fn label(&self) -> String {
        match (self.number, &*self.name) {
            (0, _) => "others".into(),
            (number, "") => number.to_string(),
            (number, name) => format!("{number} {}", printable(name)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Point {
    seconds: f64,
    live_bytes: u64,
    resident_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocated_bytes: Option<u64>,
}

impl Stats {
    /// The figures of `recording`.
    #[must_use]
    pub fn new(recording: &Recording) -> Self {
        let capture = &recording.capture;
        let meta = &capture.meta;
        let counted = |value: u64| recording.counts_allocations().then_some(value);
        let last = capture.samples.last().copied().unwrap_or_default();
        let temporary = capture.counts_temporary().then_some(Amount {
            bytes: last.temporary_bytes,
            blocks: last.temporary_blocks,
        });
        let sampled = capture.peak_sample().map(|at| capture.samples[at]);
        let sampled = sampled.unwrap_or_default();
        let total: u64 = capture.pauses.iter().map(|pause| pause.duration).sum();
        let longest = capture.pauses.iter().map(|pause| pause.duration).max();
        let collected = |pause: &Pause| pause.collected;
        Stats {
            schema: 1,
            command: meta.arguments.clone(),
            host: meta.host.clone(),
            wrasse: meta.wrasse.clone(),
            process: meta.process,
            started_nanoseconds: meta.started,
            seconds: seconds(recording.duration()),
            ending: match capture.end.map(|end| end.ending) {
                Some(Ending::Finished) => "finished".into(),
                Some(Ending::Signal(number)) => format!("ended by signal {number}"),
                Some(Ending::Stopped) => "capture stopped".into(),
                None => "cut off: killed, or still running".into(),
            },
            frames: meta.frames,
            peak_bytes: last.peak_bytes,
            sampled_peak_bytes: sampled.live_bytes,
            sampled_peak_seconds: seconds(sampled.time),
            end_bytes: last.live_bytes,
            end_blocks: last.live_blocks,
            resident_peak_bytes: capture
                .samples
                .iter()
                .map(|s| s.resident_bytes)
                .max()
                .unwrap_or(0),
            allocated_bytes: counted(last.allocated_bytes),
            allocated_blocks: counted(last.allocated_blocks),
            temporary_bytes: temporary.map(|amount| amount.bytes),
            temporary_blocks: temporary.map(|amount| amount.blocks),
            tracebacks: capture.traceback_count(),
            pauses: Pauses {
                count: capture.pauses.len(),
                total_seconds: seconds(total),
                longest_seconds: seconds(longest.unwrap_or(0)),
                collected: capture.pauses.iter().map(collected).sum(),
            },
            threads: capture.threads.iter().map(Thread::new).collect(),
            timeline: capture
                .samples
                .iter()
                .map(|sample| Point {
                    seconds: seconds(sample.time),
                    live_bytes: sample.live_bytes,
                    resident_bytes: sample.resident_bytes,
                    allocated_bytes: counted(sample.allocated_bytes),
                })
                .collect(),
        }
    }

    /// Without the samples, for whoever shows them in another form.
    pub(crate) fn without_timeline(self) -> Self {
        Stats {
            timeline: Vec::new(),
            ..self
        }
    }

    /// As aligned text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let command = printable(&self.command.join(" "));
        row(&mut text, "program", &command);
        let process = format!("{} ({}, wrasse {})", self.process, self.host, self.wrasse);
        row(&mut text, "process", &printable(&process));
        row(
            &mut text,
            "time",
            &format!("{}, {}", duration(self.seconds), self.ending),
        );
        let peak = format!(
            "{} ({} at the sample of {} after the start)",
            size(self.peak_bytes),
            size(self.sampled_peak_bytes),
            duration(self.sampled_peak_seconds)
        );
        row(&mut text, "peak", &peak);
        let end = format!(
            "{} in {} blocks",
            size(self.end_bytes),
            count(self.end_blocks)
        );
        row(&mut text, "live at the end", &end);
        if let (Some(bytes), Some(blocks)) = (self.allocated_bytes, self.allocated_blocks) {
            let allocated = format!("{} in {} blocks", size(bytes), count(blocks));
            row(&mut text, "allocated in all", &allocated);
        }
        if let (Some(bytes), Some(blocks)) = (self.temporary_bytes, self.temporary_blocks) {
            let temporary = format!("{} in {} blocks", size(bytes), count(blocks));
            row(&mut text, "temporary", &temporary);
        }
        row(&mut text, "resident peak", &size(self.resident_peak_bytes));
        let tracebacks = format!(
            "{} of up to {} frames",
            count(self.tracebacks as u64),
            self.frames
        );
        row(&mut text, "tracebacks", &tracebacks);
        let pauses = format!(
            "{}, {} in total, {} the longest",
            count(self.pauses.count as u64),
            duration(self.pauses.total_seconds),
            duration(self.pauses.longest_seconds)
        );
        row(&mut text, "collections", &pauses);
        for thread in self.threads.iter().take(THREADS_SHOWN) {
            let figures = format!(
                "{}: {} allocated in {} blocks, {} live at the end, {} at the peak",
                thread.label(),
                size(thread.allocated_bytes),
                count(thread.allocated_blocks),
                size(thread.live_bytes),
                size(thread.peak_bytes),
            );
            row(&mut text, "thread", &figures);
        }
        if self.timeline.len() > 1 {
            row(&mut text, "live over time", &self.picture());
        }
        text
    }

    /// The most live bytes in each sixtieth of the time, as a row of bars.
    fn picture(&self) -> String {
        let mut columns = [None::<u64>; WIDTH];
        let whole = self.seconds.max(f64::MIN_POSITIVE);
        for point in &self.timeline {
            let column = (point.seconds / whole * WIDTH as f64) as usize;
            let column = &mut columns[column.min(WIDTH - 1)];
            *column = (*column).max(Some(point.live_bytes));
        }
        let highest = columns.iter().flatten().max().copied().unwrap_or(0).max(1);
        let mut known = 0;
        let bar = |column: &Option<u64>| {
            // Without a sample nothing has changed by much.
            known = column.unwrap_or(known);
            let height = (known as f64 / highest as f64 * HEIGHTS.len() as f64).ceil() as usize;
            match height {
                0 => ' ',
                height => HEIGHTS[height.min(HEIGHTS.len()) - 1],
            }
        };
        columns.iter().map(bar).collect()
    }

    /// As one JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::text::json(self)
    }
}

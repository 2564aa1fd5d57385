//! A look as one line, for whoever has no terminal to draw on.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use wrasse_report::units::{count, duration, seconds, size};

use crate::look::{Look, Order};
use crate::show::Host;
use crate::watch::Watch;

/// Version of the JSON form.
const SCHEMA: u32 = 1;
/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(1);
/// The time between two looks at whether the program has ended.
const STEP: Duration = Duration::from_millis(20);
/// Source lines in the JSON form.
const LINES: usize = 5;

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Words.
    Text,
    /// One JSON object.
    Json,
}

/// Why there are no more lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The program has ended.
    Ended,
    /// This process is to stop.
    Stopped,
    /// Nobody reads any more.
    Unheard,
}

/// Writes a line a second until the program has ended, and one then.
///
/// # Errors
/// One line that says why nothing more can be told.
pub fn tell(
    watch: &mut Watch,
    host: &mut dyn Host,
    form: Form,
    out: &mut dyn Write,
) -> Result<Told, String> {
    let mut last = Instant::now();
    loop {
        watch.read()?;
        let ended = host.ending(watch.ending());
        let is_over = ended.is_some();
        if is_over {
            // It may have written more before it did.
            watch.read()?;
        }
        if is_over || last.elapsed() >= INTERVAL {
            last = Instant::now();
            let look = watch.look(Order::Live, ended);
            let written = writeln!(out, "{}", look.line(form)).and_then(|()| out.flush());
            if let Err(error) = written {
                return match error.kind() {
                    io::ErrorKind::BrokenPipe => Ok(Told::Unheard),
                    _ => Err(format!("cannot write: {}", wrasse_report::reason(&error))),
                };
            }
        }
        if is_over {
            return Ok(Told::Ended);
        }
        if host.is_stopped() {
            return Ok(Told::Stopped);
        }
        thread::sleep(STEP);
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    seconds: f64,
    process: u32,
    live_bytes: u64,
    live_blocks: u64,
    peak_bytes: u64,
    resident_bytes: u64,
    allocated_bytes: u64,
    limit_bytes: Option<u64>,
    top: Vec<DocumentLine<'a>>,
    pauses: DocumentPauses,
    ended: Option<&'a str>,
}

#[derive(Serialize)]
struct DocumentLine<'a> {
    file: &'a str,
    line: u32,
    live_bytes: u64,
    live_blocks: u64,
    change_bytes: i64,
    temporary_bytes: u64,
}

#[derive(Serialize)]
struct DocumentPauses {
    count: u64,
    collected: u64,
    total_seconds: f64,
    p50_seconds: f64,
    p99_seconds: f64,
    longest_seconds: f64,
    generations: [u64; 3],
}

impl Look {
    /// As one line, without its end.
    #[must_use]
    pub fn line(&self, form: Form) -> String {
        match form {
            Form::Text => self.text(),
            // A form with string keys and no fallible serialiser.
            Form::Json => serde_json::to_string(&self.document())
                .unwrap_or_else(|error| format!("{{\"error\": {:?}}}", error.to_string())),
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![
            format!("{:.1} s", seconds(self.elapsed)),
            format!("live {}", size(self.sample.live_bytes)),
            format!("peak {}", size(self.sample.peak_bytes)),
        ];
        if let Some(top) = self.lines.first() {
            parts.push(format!("top {} {}", top.place(), size(top.live)));
        }
        let pauses = &self.pauses;
        parts.push(match pauses.count {
            0 => "no pauses".into(),
            1 => format!("1 pause of {}", duration(seconds(pauses.longest))),
            more => format!(
                "{} pauses, {} at p99, {} the longest",
                count(more),
                duration(seconds(pauses.most)),
                duration(seconds(pauses.longest))
            ),
        });
        parts.extend(self.ended.clone());
        format!("wrasse live: {}", parts.join(", "))
    }

    fn document(&self) -> Document<'_> {
        let lines = self.lines.iter().take(LINES);
        let pauses = &self.pauses;
        Document {
            schema: SCHEMA,
            seconds: seconds(self.elapsed),
            process: self.process,
            live_bytes: self.sample.live_bytes,
            live_blocks: self.sample.live_blocks,
            peak_bytes: self.sample.peak_bytes,
            resident_bytes: self.sample.resident_bytes,
            allocated_bytes: self.sample.allocated_bytes,
            limit_bytes: self.limit,
            top: lines
                .map(|line| DocumentLine {
                    file: &line.file,
                    line: line.line,
                    live_bytes: line.live,
                    live_blocks: line.blocks,
                    change_bytes: line.change,
                    temporary_bytes: line.temporary,
                })
                .collect(),
            pauses: DocumentPauses {
                count: pauses.count,
                collected: pauses.collected,
                total_seconds: seconds(pauses.total),
                p50_seconds: seconds(pauses.median),
                p99_seconds: seconds(pauses.most),
                longest_seconds: seconds(pauses.longest),
                generations: pauses.generations,
            },
            ended: self.ended.as_deref(),
        }
    }
}

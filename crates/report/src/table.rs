//! The lines, files or tracebacks with the most memory, as a table.

use serde::Serialize;
use wrasse_capture::{Key, Statistic};

use crate::recording::{Measure, Recording};
use crate::summary::Frame;
use crate::text::{line, printable};
use crate::units::{count, seconds, size};

/// What a row of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A source line.
    Line,
    /// A file.
    File,
    /// A whole traceback.
    Traceback,
}

impl By {
    pub(crate) fn key(self) -> Key {
        match self {
            By::Line => Key::Line,
            By::File => Key::File,
            By::Traceback => Key::Traceback,
        }
    }

    fn plural(self) -> &'static str {
        match self {
            By::Line => "lines",
            By::File => "files",
            By::Traceback => "tracebacks",
        }
    }
}

/// The rows with the most memory.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Version of this form.
    schema: u32,
    measure: &'static str,
    total_bytes: u64,
    total_blocks: u64,
    /// How long the recording is.
    seconds: f64,
    rows: Vec<TableRow>,
    #[serde(skip)]
    hidden: usize,
    #[serde(skip)]
    by: By,
}

#[derive(Debug, Serialize)]
struct TableRow {
    bytes: u64,
    blocks: u64,
    /// Of blocks that came over time, not of those live at one moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks_per_second: Option<f64>,
    /// The most recent first.
    frames: Vec<Frame>,
}

impl Frame {
    pub(crate) fn all(frames: &[(&[u8], u32)]) -> Vec<Frame> {
        let frame = |&(file, line): &(&[u8], u32)| Frame {
            file: String::from_utf8_lossy(file).into_owned(),
            line,
        };
        frames.iter().map(frame).collect()
    }

    fn shown(&self) -> String {
        match self.line {
            0 => printable(&self.file),
            line => format!("{}:{line}", printable(&self.file)),
        }
    }
}

/// How wide a column is that has at least `least` characters.
pub(crate) fn width(cells: &[String], least: usize) -> usize {
    cells.iter().map(String::len).max().unwrap_or(0).max(least)
}

/// A row: its figures and first frame, and the frame's callers below that.
pub(crate) fn write_row(text: &mut String, figures: &str, frames: &[Frame]) {
    let indent = " ".repeat(figures.len());
    let mut frames = frames.iter().map(Frame::shown);
    let first = frames.next().unwrap_or_else(|| "no frame".into());
    line(text, &format!("{figures}  {first}"));
    for frame in frames {
        line(text, &format!("{indent}  {frame}"));
    }
}

/// How many rows are not shown, if there are any.
pub(crate) fn write_hidden(text: &mut String, hidden: usize, by: By) {
    if hidden > 0 {
        let more = format!("and {} more {}", count(hidden as u64), by.plural());
        line(text, &more);
    }
}

impl Table {
    /// At most `most` rows. If `cumulative`, a line counts for what it has called
    /// too, which a traceback cannot.
    ///
    /// # Errors
    /// One line that says why there is no such table.
    pub fn new(
        recording: &Recording,
        measure: Measure,
        by: By,
        cumulative: bool,
        most: usize,
    ) -> Result<Self, String> {
        recording.check(measure)?;
        let sums = recording.sums();
        let all = sums
            .statistics_of(measure.blocks(), by.key(), cumulative)
            .ok_or("--cumulative is for lines and files: a traceback is whole already")?;
        let (total_bytes, total_blocks) = sums.whole_of(measure.blocks());
        let seconds = seconds(recording.duration());
        let has_rate = matches!(measure, Measure::Allocated | Measure::Temporary) && seconds > 0.0;
        let rate = |amount: u64| has_rate.then(|| amount as f64 / seconds);
        let row = |each: &Statistic<'_>| TableRow {
            bytes: each.size,
            blocks: each.count,
            bytes_per_second: rate(each.size),
            blocks_per_second: rate(each.count),
            frames: Frame::all(&each.frames),
        };
        Ok(Table {
            schema: 1,
            measure: measure.name(),
            total_bytes,
            total_blocks,
            seconds,
            rows: all.iter().take(most).map(row).collect(),
            hidden: all.len().saturating_sub(most),
            by,
        })
    }

    /// As aligned text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let whole = format!(
            "{} in {} blocks {}",
            size(self.total_bytes),
            count(self.total_blocks),
            self.measure
        );
        line(&mut text, &whole);
        let sizes: Vec<String> = self.rows.iter().map(|row| size(row.bytes)).collect();
        let blocks: Vec<String> = self.rows.iter().map(|row| count(row.blocks)).collect();
        let has_rate = self.rows.iter().any(|row| row.bytes_per_second.is_some());
        let rates: Vec<String> = self
            .rows
            .iter()
            .map(|row| match row.bytes_per_second {
                Some(bytes) => format!("  {:>10}", size(bytes as u64)),
                None => String::new(),
            })
            .collect();
        let (size_width, block_width) = (width(&sizes, 4), width(&blocks, 6));
        if !self.rows.is_empty() {
            let rate = if has_rate { "  per second" } else { "" };
            let head = format!(
                "{:>size_width$}  share  {:>block_width$}{rate}",
                "size", "blocks"
            );
            line(&mut text, &head);
        }
        for (((row, bytes), blocks), rate) in self.rows.iter().zip(&sizes).zip(&blocks).zip(&rates)
        {
            let share = row.bytes as f64 * 100.0 / self.total_bytes.max(1) as f64;
            let figures =
                format!("{bytes:>size_width$}  {share:4.1}%  {blocks:>block_width$}{rate}");
            write_row(&mut text, &figures, &row.frames);
        }
        write_hidden(&mut text, self.hidden, self.by);
        text
    }

    /// As one JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::text::json(self)
    }
}

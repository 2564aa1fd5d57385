//! What two recordings differ in.

use serde::Serialize;
use wrasse_capture::{Difference, compare};

use crate::recording::{Measure, Recording};
use crate::summary::Frame;
use crate::table::{By, width, write_hidden, write_row};
use crate::text::line;
use crate::units::{count, size};

/// The largest differences between two recordings.
#[derive(Debug, Serialize)]
pub struct Diff {
    /// Version of this form.
    schema: u32,
    measure: &'static str,
    old_bytes: u64,
    new_bytes: u64,
    rows: Vec<DiffRow>,
    #[serde(skip)]
    hidden: usize,
    #[serde(skip)]
    by: By,
}

#[derive(Debug, Serialize)]
struct DiffRow {
    bytes: u64,
    bytes_more: i64,
    blocks: u64,
    blocks_more: i64,
    /// The most recent first.
    frames: Vec<Frame>,
}

impl Diff {
    /// At most `most` rows that are not the same in both, the largest first.
    ///
    /// # Errors
    /// One line that says why there is no such comparison.
    pub fn new(
        old: &Recording,
        new: &Recording,
        measure: Measure,
        by: By,
        most: usize,
    ) -> Result<Self, String> {
        old.check(measure)?;
        new.check(measure)?;
        let (before, after) = (old.sums(), new.sums());
        let blocks = measure.blocks();
        let mut all = compare(&before, &after, blocks, by.key(), false).unwrap_or_default();
        all.retain(|each| each.size_difference != 0 || each.count_difference != 0);
        let row = |each: &Difference<'_>| DiffRow {
            bytes: each.size,
            bytes_more: each.size_difference,
            blocks: each.count,
            blocks_more: each.count_difference,
            frames: Frame::all(&each.frames),
        };
        Ok(Diff {
            schema: 1,
            measure: measure.name(),
            old_bytes: before.whole_of(blocks).0,
            new_bytes: after.whole_of(blocks).0,
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
            "{} before, {} after ({}), {}",
            size(self.old_bytes),
            size(self.new_bytes),
            signed(self.new_bytes.wrapping_sub(self.old_bytes) as i64, size),
            self.measure
        );
        line(&mut text, &whole);
        let sizes: Vec<String> = self
            .rows
            .iter()
            .map(|r| signed(r.bytes_more, size))
            .collect();
        let blocks: Vec<String> = self
            .rows
            .iter()
            .map(|r| signed(r.blocks_more, count))
            .collect();
        let (size_width, block_width) = (width(&sizes, 4), width(&blocks, 6));
        if !self.rows.is_empty() {
            let head = format!("{:>size_width$}  {:>block_width$}", "size", "blocks");
            line(&mut text, &head);
        }
        for ((row, bytes), blocks) in self.rows.iter().zip(&sizes).zip(&blocks) {
            let figures = format!("{bytes:>size_width$}  {blocks:>block_width$}");
            write_row(&mut text, &figures, &row.frames);
        }
        if self.rows.is_empty() {
            line(&mut text, "no difference");
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

fn signed(value: i64, show: impl Fn(u64) -> String) -> String {
    let sign = if value < 0 { '-' } else { '+' };
    format!("{sign}{}", show(value.unsigned_abs()))
}

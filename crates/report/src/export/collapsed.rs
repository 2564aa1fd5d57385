//! Collapsed stacks: the frames from the oldest on, separated by semicolons,
//! then a space and the bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::recording::{Measure, Recording};

pub fn write(recording: &Recording, measure: Measure, out: &mut impl Write) -> io::Result<()> {
    let labels: Vec<String> = (0..recording.capture.locations().len() as u32)
        .map(|location| frame(&recording.name(location).label()))
        .collect();
    // Stacks that differ in what has been cut off only are one line.
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for row in &recording.rows {
        let bytes = row.amount(measure).bytes;
        if bytes == 0 {
            continue;
        }
        let frames = recording.oldest_first(row);
        let frames: Vec<&str> = frames
            .iter()
            .map(|&location| labels[location as usize].as_str())
            .collect();
        let sum = stacks.entry(frames.join(";")).or_default();
        *sum = sum.saturating_add(bytes);
    }
    for (stack, bytes) in stacks {
        writeln!(out, "{stack} {bytes}")?;
    }
    Ok(())
}

/// A frame's label without what separates frames and lines.
fn frame(label: &str) -> String {
    let replace = |each: char| match each {
        ';' => ':',
        each if each.is_control() => '?',
        each => each,
    };
    label.chars().map(replace).collect()
}

//! JSON for speedscope, a viewer of flame graphs in the browser.
//!
//! <https://www.speedscope.app/file-format-schema.json>: "sampled" profiles, whose
//! weights are bytes instead of time.

use std::io::{self, Write};

use serde::Serialize;

use crate::recording::{Measure, Recording};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: &'static str,
    active_profile_index: usize,
    shared: Shared<'a>,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: String,
    file: std::borrow::Cow<'a, str>,
    line: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

pub fn write(recording: &Recording, out: &mut impl Write) -> io::Result<()> {
    let locations = 0..recording.capture.locations().len() as u32;
    let frames = locations.map(|location| {
        let frame = recording.name(location);
        Frame {
            name: frame.label(),
            line: frame.line,
            file: frame.file,
        }
    });
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: recording.title(),
        exporter: concat!("wrasse ", env!("CARGO_PKG_VERSION")),
        active_profile_index: 0,
        shared: Shared {
            frames: frames.collect(),
        },
        profiles: recording
            .measures()
            .map(|measure| profile(recording, measure))
            .collect(),
    };
    let mut out = io::BufWriter::new(out);
    serde_json::to_writer(&mut out, &file)?;
    out.flush()
}

fn profile(recording: &Recording, measure: Measure) -> Profile {
    let mut rows: Vec<_> = recording
        .rows
        .iter()
        .filter(|row| row.amount(measure).bytes > 0)
        .map(|row| (recording.oldest_first(row), row.amount(measure).bytes))
        .collect();
    // Stacks with the same beginning side by side, as the viewer merges neighbours.
    rows.sort();
    let (samples, weights): (Vec<_>, Vec<u64>) = rows.into_iter().unzip();
    Profile {
        kind: "sampled",
        name: measure.name(),
        unit: "bytes",
        start_value: 0,
        end_value: weights
            .iter()
            .fold(0, |all: u64, each| all.saturating_add(*each)),
        samples,
        weights,
    }
}

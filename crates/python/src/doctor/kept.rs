//! What was measured, in a capture file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use wrasse_capture::{Meta, Writer};
use wrasse_doctor::observations::{Line, Pause};
use wrasse_doctor::{Finding, Observations};
use wrasse_report::Recording;

/// The section with everything that was measured.
const OBSERVATIONS: &str = "observations";

/// Adds what was measured and found to the capture of the same run.
///
/// # Errors
/// Why it is not in the file.
pub fn keep(path: &Path, observations: &Observations, findings: &[Finding]) -> Result<(), String> {
    let cycles: Vec<_> = observations
        .cycles
        .iter()
        .map(|each| {
            let line = observations
                .own_line(&each.frames)
                .cloned()
                .unwrap_or_default();
            let nodes = each.nodes.iter().enumerate();
            let nodes: Vec<_> = nodes
                .map(|(id, name)| json!({ "id": id, "type": name }))
                .collect();
            json!({
                "count": each.count, "bytes": each.bytes, "nodes": nodes,
                "edges": each.edges, "file": line.file, "line": line.line,
            })
        })
        .collect();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let sections = [
        (OBSERVATIONS, serde_json::to_vec(observations)),
        ("findings", serde_json::to_vec(findings)),
        ("cycles", serde_json::to_vec(&cycles)),
    ];
    // Frames stand for themselves: those of a writer of our own can follow
    // whatever the program's has written.
    let mut writer = Writer::new(&Meta::default()).map_err(|error| failed(&error))?;
    writer.written();
    for (name, json) in sections {
        let json = json.map_err(|error| failed(&error))?;
        writer
            .section(name, &json)
            .map_err(|error| failed(&error))?;
    }
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(|error| failed(&error))?;
    file.write_all(writer.pending())
        .map_err(|error| failed(&error))
}

/// What a capture file can tell: all that was measured, if the doctor wrote it;
/// else what the collector cost.
///
/// # Errors
/// One line that says why it is none.
pub fn from_capture(path: &Path) -> Result<Observations, String> {
    let recording = Recording::open(path)?;
    if let Some(json) = recording.capture.section(OBSERVATIONS) {
        return serde_json::from_slice(json).map_err(|error| {
            format!(
                "{}: its observations cannot be read: {error}",
                path.display()
            )
        });
    }
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let mut observations = Observations {
        program: recording.title(),
        wall_seconds: seconds(recording.duration()),
        // What is known: a program that waits uses less.
        cpu_seconds: seconds(recording.duration()),
        ..Observations::default()
    };
    let collector = &mut observations.collector;
    for pause in &recording.capture.pauses {
        let generation = usize::from(pause.generation).min(2);
        collector.collections[generation] += 1;
        collector.collected[generation] += pause.collected;
        collector.seconds[generation] += seconds(pause.duration);
        if collector
            .longest
            .as_ref()
            .is_none_or(|longest| longest.seconds < seconds(pause.duration))
        {
            collector.longest = Some(Pause {
                start: seconds(pause.start),
                seconds: seconds(pause.duration),
                generation: generation as u32,
                collected: pause.collected,
                frames: Vec::<Line>::new(),
                ..Pause::default()
            });
        }
    }
    Ok(observations)
}

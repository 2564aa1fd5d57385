//! The summary as a few aligned lines, written for somebody who has never
//! read about garbage collection.

use std::fmt::Write;

use crate::summary::{Allocator, Collector, Summary, Trace};
use crate::units::{count, duration, size};

/// Types named before the rest is added up.
const TYPES_SHOWN: usize = 4;
/// Width of the column of names.
const NAME: usize = 19;
/// Width of one generation's column.
const COLUMN: usize = 14;

impl Summary {
    /// The summary as text, each line ended by a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let manager = match self.collector {
            Some(_) => "garbage collector: wrasse",
            None => "garbage collector: CPython's own",
        };
        line(
            &mut text,
            &format!(
                "wrasse {}: memory of this run (CPython {}, {manager})",
                self.wrasse, self.python
            ),
        );
        row(
            &mut text,
            "peak memory",
            &format!("{} resident", size(self.peak_rss_bytes)),
        );
        if let Some(allocator) = &self.allocator {
            describe_allocator(&mut text, allocator);
        }
        if let Some(collector) = &self.collector {
            describe_collector(&mut text, collector);
        }
        if let Some(trace) = &self.trace {
            describe_trace(&mut text, trace);
        }
        text
    }
}

fn describe_allocator(text: &mut String, allocator: &Allocator) {
    let mut value = format!(
        "{} at the peak, {} given back to the system",
        size(allocator.peak_bytes),
        size(allocator.given_back_bytes)
    );
    if let Some(limit) = allocator.limit_bytes {
        let _ = write!(value, ", limit {}", size(limit));
    }
    match allocator.refused {
        0 => {}
        1 => value.push_str(", 1 request refused"),
        refused => {
            let _ = write!(value, ", {} requests refused", count(refused));
        }
    }
    row(text, "Python's objects", &value);
}

fn describe_collector(text: &mut String, collector: &Collector) {
    let columns = |cells: &mut dyn Iterator<Item = String>| {
        cells.fold(String::new(), |mut all, cell| {
            let _ = write!(all, "{cell:>COLUMN$}");
            all
        })
    };
    let generations = &collector.generations;
    row(
        text,
        "",
        &columns(&mut (0..generations.len()).map(|index| format!("generation {index}"))),
    );
    row(
        text,
        "collections",
        &columns(&mut generations.iter().map(|each| count(each.collections))),
    );
    row(
        text,
        "objects freed",
        &columns(&mut generations.iter().map(|each| count(each.collected))),
    );
    if generations.iter().any(|each| each.uncollectable > 0) {
        row(
            text,
            "could not be freed",
            &columns(&mut generations.iter().map(|each| count(each.uncollectable))),
        );
    }
    let pauses = if generations.iter().all(|each| each.collections == 0) {
        "none".into()
    } else {
        format!(
            "{} in total, {} the longest",
            duration(collector.total_pause_seconds),
            duration(collector.longest_pause_seconds)
        )
    };
    row(text, "pauses", &pauses);
    row(text, "found in cycles", &cycle_types(collector));
}

fn cycle_types(collector: &Collector) -> String {
    let types = &collector.cycle_types;
    if types.is_empty() {
        return "nothing".into();
    }
    let mut parts: Vec<String> = types
        .iter()
        .take(TYPES_SHOWN)
        .map(|each| format!("{} {}", count(each.objects), printable(&each.name)))
        .collect();
    let hidden = types.iter().skip(TYPES_SHOWN);
    let objects: u64 = hidden.clone().map(|each| each.objects).sum();
    match hidden.count() {
        0 => {}
        1 => parts.push(format!("{} of 1 other type", count(objects))),
        others => parts.push(format!(
            "{} of {} other types",
            count(objects),
            count(others as u64)
        )),
    }
    parts.join(", ")
}

fn describe_trace(text: &mut String, trace: &Trace) {
    let totals = format!(
        "{} live at the end, {} at the peak",
        size(trace.current_bytes),
        size(trace.peak_bytes)
    );
    row(text, "traced memory", &totals);
    if trace.top.is_empty() {
        return;
    }
    row(
        text,
        "largest lines",
        "live at the end, by the line that allocated it",
    );
    let amounts = trace.top.iter().map(|each| (each.bytes, each.blocks));
    for (amount, each) in amount_column(amounts).iter().zip(&trace.top) {
        let place = format!("{}:{}", printable(&each.file), each.line);
        row(text, "", &format!("{amount}  {place}"));
    }
    if trace.tracebacks.is_empty() {
        return;
    }
    row(
        text,
        "largest tracebacks",
        "live at the end, by the line that allocated it and its callers",
    );
    let tracebacks = &trace.tracebacks;
    let amounts = tracebacks.iter().map(|each| (each.bytes, each.blocks));
    for (amount, each) in amount_column(amounts).iter().zip(tracebacks) {
        let mut margin = amount.clone();
        for frame in &each.frames {
            let place = format!("{}:{}", printable(&frame.file), frame.line);
            row(text, "", &format!("{margin}  {place}"));
            // The callers stand below, a step to the right.
            margin = " ".repeat(amount.chars().count() + 2);
        }
        if each.frames.is_empty() {
            row(text, "", &format!("{amount}  outside of Python code"));
        }
    }
}

/// Bytes and blocks, as wide as the widest of them.
fn amount_column(amounts: impl Iterator<Item = (u64, u64)>) -> Vec<String> {
    let cells: Vec<_> = amounts
        .map(|(bytes, blocks)| (size(bytes), count(blocks), blocks))
        .collect();
    let size_width = cells.iter().map(|each| each.0.len()).max().unwrap_or(0);
    let block_width = cells.iter().map(|each| each.1.len()).max().unwrap_or(0);
    cells
        .iter()
        .map(|(bytes, shown, blocks)| {
            let unit = if *blocks == 1 { "block " } else { "blocks" };
            format!("{bytes:>size_width$} in {shown:>block_width$} {unit}")
        })
        .collect()
}

/// A name and what it is, aligned.
pub fn row(text: &mut String, name: &str, value: &str) {
    line(text, &format!("  {name:<NAME$}{value}"));
}

/// A line, without blanks at its end.
pub fn line(text: &mut String, content: &str) {
    text.push_str(content.trim_end());
    text.push('\n');
}

/// A name of the program as it can be shown: each control character becomes a `?`,
/// so that one line stays one line, and a terminal takes no orders from it.
#[must_use]
pub fn printable(name: &str) -> String {
    name.chars()
        .map(|each| if each.is_control() { '?' } else { each })
        .collect()
}

/// `document` as one JSON document, with a newline at the end.
pub fn json(document: &impl serde::Serialize) -> String {
    // Our forms have string keys only and no fallible serialiser, so the one
    // error left (none today) is told instead of lost.
    let mut text = serde_json::to_string_pretty(document)
        .unwrap_or_else(|error| format!("{{\"error\": {:?}}}", error.to_string()));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use crate::summary::*;

    fn summary() -> Summary {
        Summary {
            schema: SCHEMA,
            wrasse: "0.1.0".into(),
            python: "3.12.1".into(),
            wall_seconds: 2.0,
            peak_rss_bytes: 50_647_040,
            collector: Some(Collector {
                generations: vec![
                    Generation {
                        collections: 28,
                        collected: 20_000,
                        ..Default::default()
                    },
                    Generation {
                        collections: 2,
                        collected: 312,
                        ..Default::default()
                    },
                    Generation {
                        collections: 1,
                        collected: 5,
                        ..Default::default()
                    },
                ],
                total_pause_seconds: 0.0123,
                longest_pause_seconds: 0.0012,
                cycle_types: vec![
                    CycleType {
                        name: "Node".into(),
                        objects: 20_000,
                    },
                    CycleType {
                        name: "bad\nname".into(),
                        objects: 3,
                    },
                ],
            }),
            allocator: Some(Allocator {
                peak_bytes: 33_554_432,
                given_back_bytes: 20_971_520,
                limit_bytes: None,
                refused: 0,
            }),
            trace: Some(Trace {
                current_bytes: 1_258_291,
                peak_bytes: 31_562_137,
                top: vec![
                    TracedLine {
                        file: "a.py".into(),
                        line: 12,
                        bytes: 1_153_434,
                        blocks: 1234,
                    },
                    TracedLine {
                        file: "b.py".into(),
                        line: 3,
                        bytes: 560,
                        blocks: 1,
                    },
                ],
                tracebacks: vec![
                    Traceback {
                        bytes: 1_153_434,
                        blocks: 1234,
                        frames: vec![
                            Frame {
                                file: "a.py".into(),
                                line: 12,
                            },
                            Frame {
                                file: "b.py".into(),
                                line: 30,
                            },
                        ],
                    },
                    Traceback {
                        bytes: 9,
                        blocks: 1,
                        frames: vec![],
                    },
                ],
            }),
        }
    }

    #[test]
    fn text_is_aligned_and_starts_with_wrasse() {
        let expected = "\
wrasse 0.1.0: memory of this run (CPython 3.12.1, garbage collector: wrasse)
  peak memory        48.3 MiB resident
  Python's objects   32.0 MiB at the peak, 20.0 MiB given back to the system
                       generation 0  generation 1  generation 2
  collections                    28             2             1
  objects freed              20,000           312             5
  pauses             12.3 ms in total, 1.2 ms the longest
  found in cycles    20,000 Node, 3 bad?name
  traced memory      1.2 MiB live at the end, 30.1 MiB at the peak
  largest lines      live at the end, by the line that allocated it
                     1.1 MiB in 1,234 blocks  a.py:12
                       560 B in     1 block   b.py:3
  largest tracebacks live at the end, by the line that allocated it and its callers
                     1.1 MiB in 1,234 blocks  a.py:12
                                                b.py:30
                         9 B in     1 block   outside of Python code
";
        assert_eq!(summary().to_text(), expected);
    }

    #[test]
    fn stock_collector_is_named_and_shows_no_figures() {
        let text = Summary {
            collector: None,
            allocator: None,
            trace: None,
            ..summary()
        }
        .to_text();
        assert!(text.contains("garbage collector: CPython's own"));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_program_without_collections_has_no_pauses() {
        let mut summary = summary();
        for each in &mut summary.collector.as_mut().unwrap().generations {
            each.collections = 0;
        }
        assert!(summary.to_text().contains("\n  pauses             none\n"));
    }

    #[test]
    fn a_limit_is_told_with_what_it_refused() {
        let mut summary = summary();
        let allocator = summary.allocator.as_mut().unwrap();
        (allocator.limit_bytes, allocator.refused) = (Some(64 << 20), 1);
        assert!(
            summary
                .to_text()
                .contains(" given back to the system, limit 64.0 MiB, 1 request refused\n")
        );
        summary.allocator.as_mut().unwrap().refused = 1200;
        assert!(
            summary
                .to_text()
                .contains(", limit 64.0 MiB, 1,200 requests refused\n")
        );
    }

    #[test]
    fn many_types_are_added_up() {
        let mut summary = summary();
        let collector = summary.collector.as_mut().unwrap();
        collector.cycle_types = (0..9u64)
            .map(|n| CycleType {
                name: format!("T{n}"),
                objects: 10 - n,
            })
            .collect();
        assert!(
            summary
                .to_text()
                .contains("10 T0, 9 T1, 8 T2, 7 T3, 20 of 5 other types\n")
        );
    }

    #[test]
    fn uncollectable_objects_are_told() {
        let mut summary = summary();
        assert!(!summary.to_text().contains("could not be freed"));
        summary.collector.as_mut().unwrap().generations[2].uncollectable = 4;
        assert!(
            summary
                .to_text()
                .contains("could not be freed              0             0             4\n")
        );
    }
}

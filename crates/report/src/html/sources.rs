//! The source lines beside their bytes, read from where the files are now.
//!
//! A capture names files, and whoever makes a report may pass it on. So only
//! what looks like Python source is read, whatever the capture says.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::calls::Calls;
use crate::recording::Recording;

/// Files that are looked at, those with the most bytes first.
const MOST_FILES: usize = 200;
/// Bytes of source in all.
const MOST_BYTES: usize = 6 << 20;
/// The largest file.
const LARGEST: u64 = 4 << 20;
/// Longer files are shown around the lines that allocated.
const WHOLE_LINES: usize = 4_000;
/// How many lines around those.
const AROUND: u32 = 12;
/// The longest line that is shown whole.
const LINE: usize = 400;

/// One file.
#[derive(Serialize)]
pub struct Source {
    /// Its name, as a number of the calls' strings.
    file: u32,
    /// Why there is none, or what is to be known of it.
    note: Option<&'static str>,
    /// Stretches of lines: the first one's number, and their text.
    parts: Vec<(u32, String)>,
}

/// The files of the lines that are shown.
pub fn read(recording: &Recording, calls: &Calls) -> Vec<Source> {
    let started = recording.capture.meta.started;
    let mut order: Vec<u32> = Vec::new();
    let mut lines: HashMap<u32, Vec<u32>> = HashMap::new();
    let by_line = &calls.groups[0];
    for row in &by_line.rows {
        let [file, _, line, _] = by_line.names[row.name as usize];
        let of_file = lines.entry(file).or_insert_with(|| {
            order.push(file);
            Vec::new()
        });
        of_file.push(line);
    }
    let mut left = MOST_BYTES;
    order
        .iter()
        .take(MOST_FILES)
        .map(|&file| {
            let name = Path::new(&calls.strings[file as usize]);
            match content(name, started) {
                Err(note) => Source {
                    file,
                    note: Some(note),
                    parts: Vec::new(),
                },
                Ok((text, note)) => {
                    let parts = parts(&text, &lines[&file]);
                    let size = parts.iter().map(|(_, text)| text.len()).sum();
                    match left.checked_sub(size) {
                        Some(rest) => {
                            left = rest;
                            Source { file, note, parts }
                        }
                        None => Source {
                            file,
                            note: Some("left out: there is too much source for one page"),
                            parts: Vec::new(),
                        },
                    }
                }
            }
        })
        .collect()
}

type Found = (String, Option<&'static str>);

fn content(path: &Path, started: u64) -> Result<Found, &'static str> {
    let name = path.to_string_lossy();
    if name.starts_with('<') && name.ends_with('>') {
        return Err("code without a file");
    }
    // Asked before it is opened: to open a pipe would wait for its writer.
    let missing = "not found here: the report was made where the file is not";
    let found = fs::metadata(path).map_err(|_| missing)?;
    if !found.is_file() || found.len() > LARGEST {
        return Err("not a file of source text");
    }
    let mut data = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut data))
        .map_err(|_| "it cannot be read")?;
    let is_python = path
        .extension()
        .is_some_and(|extension| extension == "py" || extension == "pyw")
        || data
            .strip_prefix(b"#!")
            .and_then(|rest| rest.split(|byte| *byte == b'\n').next())
            .is_some_and(|line| line.windows(6).any(|part| part == b"python"));
    if !is_python || data.contains(&0) {
        return Err("not a file of Python source");
    }
    let changed = found.modified().ok().is_some_and(|time| {
        let started = UNIX_EPOCH + Duration::from_nanos(started);
        time > started
    });
    let note = changed.then_some("changed since the program started: lines may have moved");
    Ok((String::from_utf8_lossy(&data).into_owned(), note))
}

/// All lines, or those around `wanted`.
fn parts(text: &str, wanted: &[u32]) -> Vec<(u32, String)> {
    let all: Vec<&str> = text.lines().collect();
    let mut shown = vec![all.len() <= WHOLE_LINES; all.len()];
    for &line in wanted {
        let first = line.saturating_sub(AROUND + 1) as usize;
        let last = (line.saturating_add(AROUND) as usize).min(all.len());
        shown.get_mut(first..last).unwrap_or_default().fill(true);
    }
    let mut parts: Vec<(u32, String)> = Vec::new();
    let mut before = false;
    for (at, (line, &is_shown)) in all.iter().zip(&shown).enumerate() {
        if is_shown {
            if !before {
                parts.push((at as u32 + 1, String::new()));
            }
            if let Some((first, text)) = parts.last_mut() {
                if at as u32 + 1 > *first {
                    text.push('\n');
                }
                push_line(text, line);
            }
        }
        before = is_shown;
    }
    parts
}

fn push_line(text: &mut String, line: &str) {
    let cut = line.char_indices().nth(LINE);
    let (shown, more) = match cut {
        Some((at, _)) => (&line[..at], " …"),
        None => (line, ""),
    };
    let clean = |each: char| {
        if each.is_control() && each != '\t' {
            '?'
        } else {
            each
        }
    };
    text.extend(shown.chars().map(clean));
    text.push_str(more);
}

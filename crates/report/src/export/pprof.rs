//! The format of pprof: the messages of `profile.proto`, compressed with gzip.
//!
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>; the fields
//! that are left out are not used.

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::recording::Recording;

#[derive(Clone, PartialEq, Message)]
pub struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    #[prost(int64, repeated, tag = "13")]
    pub comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    pub default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct ValueType {
    #[prost(int64, tag = "1")]
    pub kind: i64,
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Location {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Line {
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    #[prost(int64, tag = "2")]
    pub line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Function {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(int64, tag = "2")]
    pub name: i64,
    #[prost(int64, tag = "4")]
    pub filename: i64,
}

/// The table of strings, whose first must be empty.
struct Strings {
    numbers: HashMap<String, i64>,
    all: Vec<String>,
}

impl Strings {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.all.len() as i64;
        self.numbers.insert(text.into(), number);
        self.all.push(text.into());
        number
    }
}

pub fn write(recording: &Recording, out: &mut impl Write) -> io::Result<()> {
    let mut encoder = GzEncoder::new(out, Compression::default());
    encoder.write_all(&profile(recording).encode_to_vec())?;
    encoder.finish()?;
    Ok(())
}

/// The names are those of Go's heap profiles, which tools know.
fn sample_types(recording: &Recording) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
        ("peak_objects", "count"),
        ("peak_space", "bytes"),
    ];
    if recording.counts_allocations() {
        all.extend([("alloc_objects", "count"), ("alloc_space", "bytes")]);
    }
    if recording.capture.counts_temporary() {
        all.extend([("temporary_objects", "count"), ("temporary_space", "bytes")]);
    }
    all
}

fn profile(recording: &Recording) -> Profile {
    let mut strings = Strings {
        numbers: HashMap::new(),
        all: vec![],
    };
    strings.number("");
    let mut functions: HashMap<(i64, i64), u64> = HashMap::new();
    let mut profile = Profile::default();
    for (kind, unit) in sample_types(recording) {
        profile.sample_type.push(ValueType {
            kind: strings.number(kind),
            unit: strings.number(unit),
        });
    }
    // Numbers of locations and functions start at 1.
    for location in 0..recording.capture.locations().len() as u32 {
        let frame = recording.name(location);
        let filename = strings.number(&frame.file);
        let name = match &frame.function {
            Some(function) => strings.number(function),
            None => filename,
        };
        let next = functions.len() as u64 + 1;
        let function_id = *functions.entry((name, filename)).or_insert(next);
        if function_id == next {
            profile.function.push(Function {
                id: function_id,
                name,
                filename,
            });
        }
        profile.location.push(Location {
            id: u64::from(location) + 1,
            line: vec![Line {
                function_id,
                line: frame.line.into(),
            }],
        });
    }
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    for row in &recording.rows {
        let frames = recording.capture.frames(row.traceback);
        let mut value = vec![
            row.end.blocks,
            row.end.bytes,
            row.peak.blocks,
            row.peak.bytes,
        ];
        if recording.counts_allocations() {
            value.extend([row.allocated.blocks, row.allocated.bytes]);
        }
        if recording.capture.counts_temporary() {
            value.extend([row.temporary.blocks, row.temporary.bytes]);
        }
        profile.sample.push(Sample {
            location_id: frames.map(|location| u64::from(location) + 1).collect(),
            value: value.into_iter().map(signed).collect(),
        });
    }
    let meta = &recording.capture.meta;
    profile.time_nanos = signed(meta.started);
    profile.duration_nanos = signed(recording.duration());
    if !meta.arguments.is_empty() {
        profile
            .comment
            .push(strings.number(&meta.arguments.join(" ")));
    }
    profile.default_sample_type = strings.number("inuse_space");
    profile.string_table = strings.all;
    profile
}

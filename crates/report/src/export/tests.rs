//! Every format is read back by a reader that is not ours.

use std::collections::HashMap;
use std::io::Read;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::RowAccessor;
use prost::Message;
use wrasse_capture::{Capture, Ending, Meta, Moment, Writer};
use wrasse_tracer::{TracebackBuilder, Tracer, View};

use super::*;

const VIEW: View = View::Profile;

/// Two stacks at the peak, of which one is left at the end; odd names.
fn recording() -> Recording {
    let mut tracer = Tracer::default();
    tracer.start(VIEW, 5);
    let meta = Meta {
        arguments: vec!["python".into(), "app.py".into()],
        started: 1_000_000,
        frames: 5,
        ..Meta::default()
    };
    let mut writer = Writer::new(&meta).unwrap();
    let mut allocate = |address: usize, stack: &[(&str, u32, Option<&str>)], size| {
        let mut builder = TracebackBuilder::default();
        builder.reset(5);
        for (file, line, function) in stack {
            let locations = tracer.locations_mut();
            let file = locations.file(file.as_bytes()).unwrap();
            let location = locations.location(file, *line).unwrap();
            if let Some(function) = function {
                locations
                    .set_function(location, function.as_bytes())
                    .unwrap();
            }
            builder.push(location).unwrap();
        }
        let id = tracer.intern(&builder).unwrap();
        tracer.record(address, size, id).unwrap();
    };
    allocate(
        0x10,
        &[("a;b\n.py", 3, Some("f\"g")), ("app.py", 9, None)],
        100,
    );
    allocate(
        0x20,
        &[("a;b\n.py", 3, Some("f\"g")), ("app.py", 9, None)],
        50,
    );
    allocate(0x30, &[("app.py", 8, Some("main"))], 7);
    writer
        .sample(
            &tracer,
            VIEW,
            Moment {
                time: 5,
                resident_bytes: 0,
            },
        )
        .unwrap();
    tracer.release(0x10);
    tracer.release(0x20);
    writer
        .sample(
            &tracer,
            VIEW,
            Moment {
                time: 9,
                resident_bytes: 0,
            },
        )
        .unwrap();
    writer.end(20, Ending::Finished).unwrap();
    Recording::new(Capture::read(writer.pending().to_vec()).unwrap())
}

fn written(format: Format, measure: Measure) -> Vec<u8> {
    let mut out = Vec::new();
    export(&recording(), format, measure, &mut out).unwrap();
    out
}

#[test]
fn pprof_decodes() {
    let mut bytes = Vec::new();
    let compressed = written(Format::Pprof, Measure::Peak);
    flate2::read::GzDecoder::new(&compressed[..])
        .read_to_end(&mut bytes)
        .unwrap();
    let profile = pprof::Profile::decode(&bytes[..]).unwrap();
    let text = |number: i64| profile.string_table[number as usize].as_str();
    assert_eq!(text(0), "");
    let types: Vec<_> = profile
        .sample_type
        .iter()
        .map(|t| (text(t.kind), text(t.unit)))
        .collect();
    assert_eq!(
        types,
        [
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
            ("peak_objects", "count"),
            ("peak_space", "bytes")
        ]
    );
    assert_eq!(text(profile.default_sample_type), "inuse_space");
    assert_eq!(
        (profile.time_nanos, profile.duration_nanos),
        (1_000_000, 20)
    );
    let functions: HashMap<u64, _> = profile.function.iter().map(|f| (f.id, f)).collect();
    let locations: HashMap<u64, _> = profile.location.iter().map(|l| (l.id, l.line[0])).collect();
    assert!(!locations.contains_key(&0) && !functions.contains_key(&0));
    let mut samples: Vec<_> = profile
        .sample
        .iter()
        .map(|sample| {
            let frames = sample.location_id.iter().map(|id| {
                let line = locations[id];
                let function = functions[&line.function_id];
                (text(function.name), text(function.filename), line.line)
            });
            (frames.collect::<Vec<_>>(), sample.value.clone())
        })
        .collect();
    samples.sort();
    assert_eq!(
        samples,
        [
            (
                vec![("f\"g", "a;b\n.py", 3), ("app.py", "app.py", 9)],
                vec![0, 0, 2, 150]
            ),
            (vec![("main", "app.py", 8)], vec![1, 7, 1, 7]),
        ]
    );
}

/// What the schema requires of a file and of a "sampled" profile.
#[test]
fn speedscope_has_what_its_schema_requires() {
    let file: serde_json::Value =
        serde_json::from_slice(&written(Format::Speedscope, Measure::Peak)).unwrap();
    assert_eq!(
        file["$schema"],
        "https://www.speedscope.app/file-format-schema.json"
    );
    let frames = file["shared"]["frames"].as_array().unwrap();
    assert!(frames.iter().all(|frame| frame["name"].is_string()));
    let profiles = file["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), 2);
    for (profile, total) in profiles.iter().zip([157, 7]) {
        assert_eq!(profile["type"], "sampled");
        assert_eq!(profile["unit"], "bytes");
        assert!(profile["name"].is_string());
        assert_eq!(
            (&profile["startValue"], &profile["endValue"]),
            (&0.into(), &total.into())
        );
        let samples = profile["samples"].as_array().unwrap();
        let weights = profile["weights"].as_array().unwrap();
        assert_eq!(samples.len(), weights.len());
        for sample in samples {
            for frame in sample.as_array().unwrap() {
                assert!((frame.as_u64().unwrap() as usize) < frames.len());
            }
        }
        let sum: u64 = weights.iter().map(|weight| weight.as_u64().unwrap()).sum();
        assert_eq!(sum, total);
    }
    let first = &profiles[0]["samples"][0];
    let names: Vec<_> = first
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| {
            frames[frame.as_u64().unwrap() as usize]["name"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(names, ["app.py:9", "f\"g (a;b\n.py:3)"], "the oldest first");
}

#[test]
fn collapsed_stacks_make_a_flame_graph() {
    let peak = String::from_utf8(written(Format::Collapsed, Measure::Peak)).unwrap();
    assert_eq!(peak, "app.py:9;f\"g (a:b?.py:3) 150\nmain (app.py:8) 7\n");
    let end = String::from_utf8(written(Format::Collapsed, Measure::End)).unwrap();
    assert_eq!(end, "main (app.py:8) 7\n");
    let mut picture = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    inferno::flamegraph::from_lines(&mut options, peak.lines(), &mut picture).unwrap();
    let picture = String::from_utf8(picture).unwrap();
    assert!(picture.contains("app.py:9") && picture.contains("150"));
}

#[test]
fn csv_reads_back() {
    let bytes = written(Format::Csv, Measure::Peak);
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let names: Vec<String> = reader.headers().unwrap().iter().map(Into::into).collect();
    assert_eq!(
        names,
        [
            "file",
            "line",
            "function",
            "domain",
            "end_bytes",
            "end_blocks",
            "peak_bytes",
            "peak_blocks",
            "traceback"
        ]
    );
    let rows: Vec<Vec<String>> = reader
        .records()
        .map(|row| row.unwrap().iter().map(Into::into).collect())
        .collect();
    assert_eq!(rows[0][..3], ["a;b\n.py", "3", "f\"g"]);
    assert_eq!(rows[0][3..8], ["0", "0", "0", "150", "2"]);
    assert_eq!(
        rows[1],
        [
            "app.py",
            "8",
            "main",
            "0",
            "7",
            "1",
            "7",
            "1",
            "main (app.py:8)"
        ]
    );
}

#[test]
fn parquet_reads_back() {
    let bytes = written(Format::Parquet, Measure::Peak);
    let reader = SerializedFileReader::new(::bytes::Bytes::from(bytes)).unwrap();
    let names: Vec<String> = reader
        .metadata()
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .map(|column| column.name().into())
        .collect();
    assert_eq!(names[..3], ["file", "line", "function"]);
    let place = |name: &str| names.iter().position(|each| each == name).unwrap();
    let rows: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get_string(place("file")).unwrap(), "a;b\n.py");
    assert_eq!(rows[0].get_long(place("peak_bytes")).unwrap(), 150);
    assert_eq!(rows[1].get_long(place("end_bytes")).unwrap(), 7);
    assert_eq!(rows[1].get_string(place("function")).unwrap(), "main");
}

#[test]
fn a_capture_without_samples_exports_nothing() {
    let mut data = Writer::new(&Meta::default()).unwrap().pending().to_vec();
    let recording = Recording::new(Capture::read(std::mem::take(&mut data)).unwrap());
    for format in [
        Format::Pprof,
        Format::Speedscope,
        Format::Collapsed,
        Format::Csv,
        Format::Parquet,
    ] {
        export(&recording, format, Measure::Peak, &mut Vec::new()).unwrap();
    }
}

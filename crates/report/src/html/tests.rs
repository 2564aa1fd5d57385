//! The page holds what the recording holds, cut off nowhere in silence, and
//! nothing in it is taken for markup.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde_json::Value;
use wrasse_capture::{Capture, Ending, Meta, Moment, Pause, Writer};
use wrasse_tracer::{TracebackBuilder, Tracer, View};

use super::tree::{Grouping, Keyed, ROOT, Tree};
use super::*;

/// All that there are.
pub const MEASURES: &[Measure] = &Measure::ALL;

const VIEW: View = View::Profile;
const FRAMES: u16 = 4;

/// A recording of blocks: the lines of their tracebacks, the most recent first,
/// and their bytes. Every third is freed before the end.
pub fn recording(blocks: &[(Vec<u32>, u64)]) -> Recording {
    recording_with(blocks, |_| {})
}

fn recording_with(blocks: &[(Vec<u32>, u64)], finish: impl FnOnce(&mut Writer)) -> Recording {
    let mut tracer = Tracer::default();
    tracer.start(VIEW, FRAMES);
    let meta = Meta {
        arguments: vec!["python".into(), "<b>app</b>.py".into()],
        host: "CPython 3.13.0".into(),
        frames: FRAMES,
        counts_allocations: true,
        ..Meta::default()
    };
    let mut writer = Writer::new(&meta).unwrap();
    for (at, (lines, size)) in blocks.iter().enumerate() {
        let mut builder = TracebackBuilder::default();
        builder.reset(FRAMES);
        for &line in lines {
            let locations = tracer.locations_mut();
            let name = format!("</script><script>alert({})</script>", line % 3);
            let file = locations.file(name.as_bytes()).unwrap();
            let location = locations.location(file, line).unwrap();
            let function = format!("f{}", line / 4);
            locations
                .set_function(location, function.as_bytes())
                .unwrap();
            builder.push(location).unwrap();
        }
        let id = tracer.intern(&builder).unwrap();
        tracer.record(16 * (at + 1), *size as usize, id).unwrap();
    }
    let moment = |time| Moment {
        time,
        resident_bytes: 1 << 20,
    };
    writer.sample(&tracer, VIEW, moment(1_000_000)).unwrap();
    for at in (0..blocks.len()).step_by(3) {
        tracer.release(16 * (at + 1));
    }
    writer.sample(&tracer, VIEW, moment(2_000_000)).unwrap();
    let pause = Pause {
        start: 1_500_000,
        duration: 2_000,
        generation: 2,
        collected: 3,
        uncollectable: 0,
    };
    writer.pauses(&[pause]).unwrap();
    finish(&mut writer);
    writer.end(3_000_000, Ending::Finished).unwrap();
    Recording::new(Capture::read(writer.pending().to_vec()).unwrap())
}

fn page(recording: &Recording) -> String {
    let options = HtmlOptions { sources: true };
    String::from_utf8(html(recording, options).unwrap()).unwrap()
}

fn document(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<script id=\"data\" type=\"text/plain\">")
        .unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    let packed = STANDARD.decode(data).unwrap();
    let mut json = String::new();
    GzDecoder::new(&packed[..])
        .read_to_string(&mut json)
        .unwrap();
    serde_json::from_str(&json).unwrap()
}

fn blocks() -> Vec<(Vec<u32>, u64)> {
    (1..40)
        .map(|n| (vec![n, n % 5, 3, 1, 2], 100 * u64::from(n)))
        .collect()
}

#[test]
fn the_page_holds_the_figures() {
    let recording = recording(&blocks());
    let document = document(&page(&recording));
    let last = recording.capture.samples[1];
    assert_eq!(document["facts"]["end_bytes"], last.live_bytes);
    assert_eq!(document["facts"]["timeline"], Value::Array(vec![]));
    assert_eq!(document["calls"]["whole"][1][0], last.live_bytes);
    assert_eq!(document["calls"]["whole"][2][0], last.allocated_bytes);
    // Five frames, of which four are kept.
    assert_eq!(document["calls"]["shortened"][1], last.live_bytes);
    assert_eq!(
        document["timeline"]["time"],
        serde_json::json!([1000, 2000])
    );
    assert_eq!(
        document["timeline"]["pauses"],
        serde_json::json!([[1500, 2, 2, 3]])
    );
    for group in document["calls"]["groups"].as_array().unwrap() {
        let rows = group["rows"].as_array().unwrap();
        let own: u64 = rows
            .iter()
            .map(|row| row["own"][0][0].as_u64().unwrap())
            .sum();
        assert_eq!(own, recording.capture.samples[0].live_bytes);
        assert_eq!(group["tree"]["bytes"][0][0], own);
    }
    let words = document["words"].as_array().unwrap();
    let said: Vec<&str> = words.iter().map(|line| line.as_str().unwrap()).collect();
    assert!(said[0].contains("ran for 3.0 ms"), "{said:?}");
    assert!(
        said.iter()
            .any(|line| line.contains("oldest callers are missing"))
    );
}

#[test]
fn names_are_never_markup() {
    let page = page(&recording(&blocks()));
    // The page's own two, one of them for the data.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(page.contains("<title>&lt;b&gt;app&lt;/b&gt;.py"));
    assert!(!page.contains("alert("));
    assert!(page.contains("default-src 'none'"));
    assert!(
        !page.contains("http://") || page.matches("http://").count() == 1,
        "only SVG's name"
    );
    for script in SCRIPTS {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!script.contains(way), "{way}");
        }
    }
}

#[test]
fn a_capture_without_samples_is_said_to_have_none() {
    let writer = Writer::new(&Meta::default()).unwrap();
    let recording = Recording::new(Capture::read(writer.pending().to_vec()).unwrap());
    let document = document(&page(&recording));
    assert!(document["words"][1].as_str().unwrap().contains("no sample"));
    assert_eq!(document["types"], Value::Null);
}

#[test]
fn sections_are_passed_on_or_said_to_be_unreadable() {
    let recording = recording_with(&blocks(), |writer| {
        let types = br#"[{"type": "a.B", "count": 2, "bytes": 10}, {"type": "c", "count": 1, "bytes": 20, "retained": 30}]"#;
        writer.section("types", types).unwrap();
        writer.section("cycles", b"[1]").unwrap();
        let finding = br#"[{"code": "W101", "message": "a cycle", "bytes": 5, "unknown": 1}]"#;
        writer.section("findings", finding).unwrap();
    });
    let document = document(&page(&recording));
    assert_eq!(document["types"][0]["type"], "c");
    assert_eq!(document["types"][1].get("retained"), None);
    assert_eq!(document["findings"][0]["evidence"], serde_json::json!([]));
    assert_eq!(document["cycles"], Value::Null);
    let unreadable = document["unreadable"][0].as_str().unwrap();
    assert!(unreadable.contains("\"cycles\" cannot be read"));
}

proptest! {
    #[test]
    fn trees_and_tables_agree_with_adding_up(
        blocks in proptest::collection::vec(
            (proptest::collection::vec(0u32..12, 1..6), 1u64..1000), 0..40),
    ) {
        let recording = recording(&blocks);
        let capture = &recording.capture;
        let lines = Tree::of_lines(&recording, MEASURES);
        let by_file = Grouping::of(capture, |at| at.file);
        let by_line = Grouping::of(capture, |at| (at.file, at.line));
        for (keys, count, folds) in [
            (&by_line.keys, by_line.names.len(), false),
            (&by_file.keys, by_file.names.len(), true),
        ] {
            let tree = lines.merged(|location| keys[location as usize], folds);
            let [keyed] = Keyed::all(&recording, MEASURES, [(keys, count)]);
            for (measure, &kind) in MEASURES.iter().enumerate() {
                let mut own = vec![0; count];
                let mut total = vec![0; count];
                let mut paths: HashMap<Vec<u32>, u64> = HashMap::new();
                for row in &recording.rows {
                    let bytes = row.amount(kind).bytes;
                    let mut path: Vec<u32> = recording
                        .oldest_first(row)
                        .iter()
                        .map(|&location| keys[location as usize])
                        .collect();
                    if folds {
                        path.dedup();
                    }
                    own[*path.last().unwrap() as usize] += bytes;
                    for key in path.iter().collect::<HashSet<_>>() {
                        total[*key as usize] += bytes;
                    }
                    for end in 0..=path.len() {
                        *paths.entry(path[..end].to_vec()).or_default() += bytes;
                    }
                }
                for key in 0..count {
                    prop_assert_eq!(keyed.own(key, measure).bytes, own[key]);
                    prop_assert_eq!(keyed.total(key, measure).bytes, total[key]);
                }
                for node in 0..tree.len() {
                    let mut path = Vec::new();
                    let mut at = node;
                    while at != ROOT as usize {
                        path.insert(0, tree.keys[at]);
                        at = tree.parents[at] as usize;
                    }
                    let expected = paths.get(&path).copied().unwrap_or(0);
                    prop_assert_eq!(tree.total(node, measure).bytes, expected);
                }
            }
            let largest = tree.largest(5);
            prop_assert!(largest.len() <= 5 && largest[0] == ROOT);
            for node in &largest {
                prop_assert!(largest.contains(&tree.parents[*node as usize]));
            }
        }
    }
}

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
use crate::stacks::{Column, Stacks};

/// All that there are.
pub const MEASURES: &[Column<'_>] = &[
    Column::Of(Measure::Peak),
    Column::Of(Measure::End),
    Column::Of(Measure::Allocated),
    Column::Of(Measure::Temporary),
];

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

/// Bytes by path, the oldest first, and by every beginning of one.
fn by_path(recording: &Recording, kind: Measure) -> HashMap<Vec<String>, u64> {
    let mut paths: HashMap<Vec<String>, u64> = HashMap::new();
    for row in &recording.rows {
        let frames = recording.oldest_first(row);
        let path: Vec<String> = frames
            .iter()
            .map(|location| recording.name(*location).label())
            .collect();
        for end in 0..=path.len() {
            *paths.entry(path[..end].to_vec()).or_default() += row.amount(kind).bytes;
        }
    }
    paths
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
            // Of five frames four are kept, of every traceback.
            .any(|line| line.starts_with("100 % ") && line.contains("oldest callers are missing"))
    );
}

#[test]
fn a_comparison_says_what_grew_and_what_shrank() {
    let types = |count: u64| {
        let text = format!(
            r#"[{{"type": "a.B", "count": {count}, "bytes": {}}}, {{"type": "c", "count": 1, "bytes": 7}}]"#,
            count * 100
        );
        text.into_bytes()
    };
    let finding = |line: u32, message: &str| {
        format!(r#"{{"code": "W101", "file": "app.py", "line": {line}, "message": "{message}"}}"#)
    };
    // Blocks 0 and 3 are freed before the end.
    let old = recording_with(
        &[(vec![1], 9), (vec![2, 1], 1000), (vec![3, 1], 50)],
        |writer| {
            writer.section("types", &types(3)).unwrap();
            let all = format!(
                "[{}, {}]",
                finding(3, "12 cycles"),
                finding(4, "a list of 9 MiB")
            );
            writer.section("findings", all.as_bytes()).unwrap();
        },
    );
    let new = recording_with(
        &[(vec![1], 9), (vec![2, 1], 400), (vec![3, 1], 4050)],
        |writer| {
            writer.section("types", &types(5)).unwrap();
            let all = format!("[{}, {}]", finding(5, "13 cycles"), finding(4, "a cache"));
            writer.section("findings", all.as_bytes()).unwrap();
        },
    );
    let options = HtmlOptions { sources: false };
    let page = String::from_utf8(compared_html(old, new, options).unwrap()).unwrap();
    let document = document(&page);
    let measures = document["measures"].as_array().unwrap().len();
    assert_eq!(document["calls"]["whole"][1][0], 4450);
    assert_eq!(document["calls"]["whole"][measures + 1][0], 1050);
    let tree = &document["calls"]["groups"][0]["tree"]["bytes"];
    assert_eq!(tree[2 * measures + 1][0], 4000, "what grew");
    assert_eq!(tree[3 * measures + 1][0], 600, "what shrank");
    let compared = &document["compared"];
    assert_eq!(compared["types"].as_array().unwrap().len(), 1);
    assert_eq!(compared["types"][0]["count"], serde_json::json!([3, 5]));
    let of = |kind: &str| compared["findings"][kind].as_array().unwrap().len();
    assert_eq!((of("new"), of("gone"), of("both")), (1, 1, 1));
    assert_eq!(compared["findings"]["both"][0]["line"], 5);
    let words: Vec<&str> = document["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(
        words
            .iter()
            .any(|line| line.contains("at the end is 4.3 KiB instead of 1.0 KiB, 3.3 KiB more")),
        "{words:?}"
    );
    assert!(
        words
            .iter()
            .any(|line| line.contains("grew most at the end")
                && line.contains(":3 (in f0): 3.9 KiB more, from 50 B to 4.0 KiB")),
        "{words:?}"
    );
    assert!(
        words
            .iter()
            .any(|line| line.contains("a.B: from 3 objects to 5, 200 B more")),
        "{words:?}"
    );
    let tracebacks = document["calls"]["tracebacks"].as_array().unwrap();
    assert_eq!(tracebacks.len(), 2);
    assert_eq!(tracebacks[0]["own"][1], serde_json::json!([400, 1]));
    assert_eq!(
        tracebacks[0]["own"][measures + 1],
        serde_json::json!([1000, 1])
    );
}

#[test]
fn what_grows_from_quarter_to_quarter_is_growing() {
    let mut tracer = Tracer::default();
    tracer.start(VIEW, FRAMES);
    let mut writer = Writer::new(&Meta {
        frames: FRAMES,
        ..Meta::default()
    })
    .unwrap();
    let traceback = |tracer: &mut Tracer, line: u32| {
        let mut builder = TracebackBuilder::default();
        builder.reset(FRAMES);
        let file = tracer.locations_mut().file(b"f.py").unwrap();
        builder
            .push(tracer.locations_mut().location(file, line).unwrap())
            .unwrap();
        tracer.intern(&builder).unwrap()
    };
    let (leak, kept, saw) = (
        traceback(&mut tracer, 1),
        traceback(&mut tracer, 2),
        traceback(&mut tracer, 3),
    );
    tracer.record(16, 5000, kept).unwrap();
    for time in 0..=16_u64 {
        tracer.record(160 + 16 * time as usize, 100, leak).unwrap();
        // Up and down: nothing at the third quarter.
        tracer
            .record(
                1600,
                if time == 12 {
                    1
                } else {
                    10 * (time as usize + 1)
                },
                saw,
            )
            .unwrap();
        writer
            .sample(
                &tracer,
                VIEW,
                Moment {
                    time: time * 1000,
                    resident_bytes: 0,
                },
            )
            .unwrap();
    }
    let recording = Recording::new(Capture::read(writer.pending().to_vec()).unwrap());
    let growing = recording.growing().unwrap();
    let bytes: Vec<u64> = growing.iter().map(|each| each.bytes).collect();
    let of_line = |line: u32| {
        let row = recording
            .rows
            .iter()
            .find(|row| recording.name(recording.oldest_first(row)[0]).line == line);
        bytes[row.unwrap().traceback]
    };
    // From the sample at 4 of 16 on: 5 blocks of 17 were there by then.
    assert_eq!((of_line(1), of_line(2), of_line(3)), (1200, 0, 0));
    assert_eq!(
        recording_with(&blocks(), |_| {}).growing(),
        None,
        "two samples say nothing"
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
    fn changes_add_up(
        before in proptest::collection::vec(
            (proptest::collection::vec(0u32..9, 1..6), 1u64..1000), 0..12),
        after in proptest::collection::vec(
            (proptest::collection::vec(0u32..9, 1..6), 1u64..1000), 0..12),
    ) {
        let (old, new) = (recording(&before), recording(&after));
        let (mut one, mut other) = (recording(&before), recording(&after));
        let stacks = Stacks::compared(&mut one, &mut other, &Measure::ALL);
        let lines = Tree::of_lines(&stacks);
        let tree = lines.with_changes();
        let totals: Vec<_> = (0..tree.width).map(|column| tree.totals(column)).collect();
        let count = Measure::ALL.len();
        let name = |place: u32| {
            let at = stacks.places[place as usize];
            let function = stacks.string(at.function.unwrap());
            format!("{function} ({}:{})", stacks.string(at.file), at.line)
        };
        for (measure, kind) in Measure::ALL.into_iter().enumerate() {
            let (before, after) = (by_path(&old, kind), by_path(&new, kind));
            // What each path has by itself, of which it can have more or less.
            let own = |paths: &HashMap<Vec<String>, u64>, path: &Vec<String>| {
                let at = paths.get(path).copied().unwrap_or(0);
                let below = paths.iter().filter(|(each, _)| each.len() == path.len() + 1 && each.starts_with(path));
                at - below.map(|(_, bytes)| bytes).sum::<u64>()
            };
            for (node, _) in tree.parents.iter().enumerate() {
                let mut path = Vec::new();
                let mut at = node;
                while at != ROOT as usize {
                    path.insert(0, name(tree.keys[at]));
                    at = tree.parents[at] as usize;
                }
                let of = |side: usize| totals[side * count + measure][node].bytes;
                prop_assert_eq!(of(0), after.get(&path).copied().unwrap_or(0));
                prop_assert_eq!(of(1), before.get(&path).copied().unwrap_or(0));
                let all: HashSet<&Vec<String>> = before.keys().chain(after.keys())
                    .filter(|each| each.starts_with(&path)).collect();
                let grown = |each: &&Vec<String>| own(&after, each).saturating_sub(own(&before, each));
                let shrunk = |each: &&Vec<String>| own(&before, each).saturating_sub(own(&after, each));
                prop_assert_eq!(of(2), all.iter().map(grown).sum::<u64>());
                prop_assert_eq!(of(3), all.iter().map(shrunk).sum::<u64>());
            }
        }
    }

    #[test]
    fn trees_and_tables_agree_with_adding_up(
        blocks in proptest::collection::vec(
            (proptest::collection::vec(0u32..12, 1..6), 1u64..1000), 0..40),
    ) {
        let recording = recording(&blocks);
        let stacks = Stacks::of(&recording, MEASURES);
        let lines = Tree::of_lines(&stacks);
        let by_file = Grouping::of(&stacks, |at| at.file);
        let by_line = Grouping::of(&stacks, |at| (at.file, at.line));
        for (keys, count, folds) in [
            (&by_line.keys, by_line.names.len(), false),
            (&by_file.keys, by_file.names.len(), true),
        ] {
            let tree = lines.merged(|location| keys[location as usize], folds);
            let [keyed] = Keyed::all(&stacks, [(keys, count)]);
            for (measure, kind) in Measure::ALL.into_iter().enumerate() {
                let totals = tree.totals(measure);
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
                for (node, total) in totals.iter().enumerate() {
                    let mut path = Vec::new();
                    let mut at = node;
                    while at != ROOT as usize {
                        path.insert(0, tree.keys[at]);
                        at = tree.parents[at] as usize;
                    }
                    let expected = paths.get(&path).copied().unwrap_or(0);
                    prop_assert_eq!(total.bytes, expected);
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

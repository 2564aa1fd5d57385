//! A recording, or what two of them differ in, as one HTML file that needs nothing
//! else: no network, no server, no other file.
//!
//! What is shown is worked out here and put into the file as compressed JSON;
//! the scripts beside this file draw it. Everything large is cut to its largest
//! parts, and what was cut off is added up and said. Names come from programs:
//! they reach the page as text only, never as markup.

mod calls;
mod comparison;
mod sources;
mod timeline;
pub(crate) mod tree;
mod words;

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use crate::look::Looks;
use crate::recording::{Measure, Recording};
use crate::stacks::{Column, Stacks};
use crate::stats::Stats;
use crate::text::printable;
use calls::{Calls, Typed};
use comparison::Comparison;
use sources::Source;
use timeline::Timeline;

/// Version of the JSON inside.
const SCHEMA: u32 = 2;

/// What blocks are called that belong to no object, as far as is known.
const NO_TYPE: &str = "(no object, or not known)";

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
/// In the order in which they need each other.
const SCRIPTS: [&str; 9] = [
    include_str!("html/base.js"),
    include_str!("html/table.js"),
    include_str!("html/summary.js"),
    include_str!("html/timeline.js"),
    include_str!("html/flame.js"),
    include_str!("html/source.js"),
    include_str!("html/heap.js"),
    include_str!("html/comparison.js"),
    include_str!("html/page.js"),
];

/// What is put into the file.
#[derive(Clone, Copy, Debug)]
pub struct HtmlOptions {
    /// The source lines of the program, read from where they are now.
    pub sources: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    title: String,
    facts: Stats,
    words: Vec<String>,
    measures: Vec<MeasureName>,
    /// Measures that the capture does not have, and why.
    missing_measures: Vec<String>,
    timeline: Timeline,
    calls: Calls,
    sources: Vec<Source>,
    #[serde(flatten)]
    looks: &'a Looks,
    /// What there is to be said of two recordings only.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Comparison>,
}

#[derive(Serialize)]
struct MeasureName {
    name: &'static str,
    /// What that means, where its name does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl MeasureName {
    fn of(measure: Measure) -> Self {
        MeasureName {
            name: measure.name(),
            note: match measure {
                Measure::Peak | Measure::Allocated => None,
                Measure::End => Some("what the program still needed then, and what it leaked"),
                Measure::Temporary => Some("freed before the next block was allocated"),
            },
        }
    }
}

/// What grew to the end, under which a leak is if there is one.
const GROWING: MeasureName = MeasureName {
    name: "growing",
    note: Some(
        "live at the end, from where more was live at each quarter of the run than at the one before: a leak, if there is one, is among this",
    ),
};

/// The measures that a recording has, and what is to be said of the others.
fn measures(recording: &Recording) -> (Vec<Measure>, Vec<String>) {
    let mut present = Vec::new();
    let mut missing = Vec::new();
    for measure in Measure::ALL {
        match recording.check(measure) {
            Ok(()) => present.push(measure),
            Err(_) => missing.push(format!(
                "This capture does not say what was {}.",
                measure.name()
            )),
        }
    }
    (present, missing)
}

/// The recording as an HTML file.
///
/// Time is linear in the nodes and samples of the capture, but for sorting what
/// is shown.
///
/// # Errors
/// One line that says why there is none.
pub fn html(recording: &Recording, options: HtmlOptions) -> Result<Vec<u8>, String> {
    let (measures, mut missing_measures) = measures(recording);
    let looks = Looks::read(&recording.capture);
    let mut columns: Vec<Column<'_>> = measures.iter().map(|each| Column::Of(*each)).collect();
    let mut names: Vec<_> = measures.iter().map(|each| MeasureName::of(*each)).collect();
    let growing = recording.growing();
    match &growing {
        Some(growing) => {
            columns.push(Column::Given(growing));
            names.push(GROWING);
        }
        None => missing_measures
            .push("The capture has too few samples to say what was growing to the end.".into()),
    }
    let stacks = Stacks::of(recording, &columns);
    let end = measures.iter().position(|each| *each == Measure::End);
    let typed = looks.typed.as_ref().zip(end).map(|(typed, measure)| Typed {
        stacks: Stacks::by_type(recording, typed, NO_TYPE),
        measure,
    });
    let calls = Calls::new(&stacks, false, typed.as_ref());
    let sources = match options.sources {
        true => sources::read(recording, &calls),
        false => Vec::new(),
    };
    let stats = Stats::new(recording);
    let document = Document {
        schema: SCHEMA,
        title: printable(&recording.title()),
        words: words::summary(recording, &calls, &looks),
        measures: names,
        missing_measures,
        timeline: Timeline::new(recording),
        calls,
        sources,
        looks: &looks,
        // The page has its own timeline, of bounded length.
        facts: stats.without_timeline(),
        compared: None,
    };
    document.page()
}

/// What `new` differs in from `old`, as an HTML file.
///
/// Time is as for [`html`], of both.
///
/// # Errors
/// One line that says why there is none.
pub fn compared_html(
    mut old: Recording,
    mut new: Recording,
    options: HtmlOptions,
) -> Result<Vec<u8>, String> {
    let both = |each: &Measure| old.check(*each).is_ok() && new.check(*each).is_ok();
    let measures: Vec<Measure> = Measure::ALL.into_iter().filter(both).collect();
    let missing = Measure::ALL.into_iter().filter(|each| !both(each));
    let missing_measures = missing.map(|each| {
        let name = each.name();
        format!("The two captures do not both say what was {name}.")
    });
    let missing_measures = missing_measures.collect();
    let compared = Comparison::new(&old, &new);
    let timeline = Timeline::new(&new);
    let facts = Stats::new(&new).without_timeline();
    // What is asked of the recordings from here on is in neither rows nor tracebacks.
    let stacks = Stacks::compared(&mut old, &mut new, &measures);
    let (old, new) = (&old, &new);
    let calls = Calls::new(&stacks, true, None);
    let sources = match options.sources {
        true => sources::read(new, &calls),
        false => Vec::new(),
    };
    drop(stacks);
    let document = Document {
        schema: SCHEMA,
        title: printable(&format!("{}, before and after", new.title())),
        words: compared.words(old, new, &calls),
        measures: measures.iter().map(|each| MeasureName::of(*each)).collect(),
        missing_measures,
        timeline,
        calls,
        sources,
        looks: &Looks::default(),
        facts,
        compared: Some(compared),
    };
    document.page()
}

impl Document<'_> {
    fn page(&self) -> Result<Vec<u8>, String> {
        let json = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let packed = encoder
            .write_all(&json)
            .and_then(|()| encoder.finish())
            .map_err(|error| error.to_string())?;
        Ok(assemble(&self.title, &STANDARD.encode(packed)).into_bytes())
    }
}

/// The file of its parts. Each part is put in once, so that none of them can
/// name another.
fn assemble(title: &str, data: &str) -> String {
    let script = SCRIPTS.concat();
    debug_assert!(!script.contains("</script") && !STYLE.contains("</style"));
    let parts = [
        ("{{title}}", escape(title)),
        ("{{style}}", STYLE.into()),
        ("{{data}}", data.into()),
        ("{{script}}", script),
    ];
    let mut page = String::new();
    let mut rest = PAGE;
    for (mark, content) in parts {
        let Some((before, after)) = rest.split_once(mark) else {
            continue;
        };
        page.push_str(before);
        page.push_str(&content);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Text that is to stand in markup.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for each in text.chars() {
        match each {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            each => safe.push(each),
        }
    }
    safe
}

#[cfg(test)]
pub(crate) mod tests;

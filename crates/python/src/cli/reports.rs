//! The commands that read capture files: `stats`, `table`, `tree`, `diff`, `export`,
//! `report`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use wrasse_report::{
    By, CallTree, Diff, Format, HtmlOptions, Measure, Recording, Stats, Table, TreeBy,
    check_destination, compared_html, export, html, reason, write_destination,
};

use super::interrupt::Interruptible;
use super::program::is_same_file;

#[derive(Subcommand)]
pub enum Reading {
    /// Show what a capture file holds as a whole
    Stats(StatsOptions),
    /// Show the lines with the most memory
    Table(TableOptions),
    /// Show who called whom to allocate
    Tree(TreeOptions),
    /// Show what two capture files differ in
    Diff(DiffOptions),
    /// Write a capture file in a format of other tools
    Export(ExportOptions),
    /// Show a capture file as a page: one HTML file that needs no network
    Report(ReportOptions),
}

#[derive(Args)]
pub struct StatsOptions {
    /// The capture file
    file: PathBuf,
    /// As JSON, with the whole timeline
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Selection {
    /// What is measured
    #[arg(long, visible_aliases = ["sort", "at"], value_enum, default_value_t = MeasureWord::Peak)]
    measure: MeasureWord,
    /// What a row stands for
    #[arg(long, value_enum, default_value_t = ByWord::Line)]
    by: ByWord,
    /// How many rows are shown
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    top: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct TableOptions {
    /// The capture file
    file: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// Count for a line what it has called, too
    #[arg(long)]
    cumulative: bool,
}

#[derive(Args)]
pub struct TreeOptions {
    /// The capture file
    file: PathBuf,
    /// What is measured
    #[arg(long, visible_aliases = ["sort", "at"], value_enum, default_value_t = MeasureWord::Peak)]
    measure: MeasureWord,
    /// What a branch stands for
    #[arg(long, value_enum, default_value_t = BranchWord::Line)]
    by: BranchWord,
    /// How many calls are shown, their callers among them
    #[arg(long, short = 'n', value_name = "N", default_value_t = 40)]
    top: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct DiffOptions {
    /// The capture file of before
    old: PathBuf,
    /// The capture file of after
    new: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// Write all that they differ in to OUT, as a page: one HTML file
    #[arg(long, value_name = "OUT", conflicts_with_all = ["json", "measure", "by", "top"])]
    html: Option<PathBuf>,
    /// Leave the program's source lines out of the page
    #[arg(long, requires = "html")]
    no_source: bool,
}

#[derive(Args)]
pub struct ExportOptions {
    /// The capture file
    file: PathBuf,
    /// The format
    #[arg(long, value_enum)]
    format: FormatWord,
    /// What is measured (collapsed only; the other formats hold all measures)
    #[arg(long, visible_aliases = ["sort", "at"], value_enum)]
    measure: Option<MeasureWord>,
    /// Write to OUT instead of standard output
    #[arg(short = 'o', long, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub struct ReportOptions {
    /// The capture file
    file: PathBuf,
    /// Write to OUT instead of standard output
    #[arg(short = 'o', long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Leave the program's source lines out
    #[arg(long)]
    no_source: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum MeasureWord {
    /// What was live when most was
    Peak,
    /// What was live at the end
    End,
    /// All that was ever allocated
    Allocated,
    /// What was freed before the next was allocated
    Temporary,
}

#[derive(Clone, Copy, ValueEnum)]
enum ByWord {
    /// A source line
    Line,
    /// A file
    File,
    /// A whole traceback
    Traceback,
}

#[derive(Clone, Copy, ValueEnum)]
enum BranchWord {
    /// A source line
    Line,
    /// A function
    Function,
    /// A file
    File,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatWord {
    /// Google's profile.proto, compressed
    Pprof,
    /// JSON for speedscope.app
    Speedscope,
    /// One line a stack, for flame graphs
    Collapsed,
    /// A table of all tracebacks, as text
    Csv,
    /// The same table in columns
    Parquet,
}

impl From<MeasureWord> for Measure {
    fn from(word: MeasureWord) -> Self {
        match word {
            MeasureWord::Peak => Measure::Peak,
            MeasureWord::End => Measure::End,
            MeasureWord::Allocated => Measure::Allocated,
            MeasureWord::Temporary => Measure::Temporary,
        }
    }
}

impl From<ByWord> for By {
    fn from(word: ByWord) -> Self {
        match word {
            ByWord::Line => By::Line,
            ByWord::File => By::File,
            ByWord::Traceback => By::Traceback,
        }
    }
}

impl From<BranchWord> for TreeBy {
    fn from(word: BranchWord) -> Self {
        match word {
            BranchWord::Line => TreeBy::Line,
            BranchWord::Function => TreeBy::Function,
            BranchWord::File => TreeBy::File,
        }
    }
}

impl From<FormatWord> for Format {
    fn from(word: FormatWord) -> Self {
        match word {
            FormatWord::Pprof => Format::Pprof,
            FormatWord::Speedscope => Format::Speedscope,
            FormatWord::Collapsed => Format::Collapsed,
            FormatWord::Csv => Format::Csv,
            FormatWord::Parquet => Format::Parquet,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// One line that says why there is nothing to show.
pub fn run(report: &Reading) -> Result<(), String> {
    let _interruptible = Interruptible::begin();
    match report {
        Reading::Stats(options) => {
            let stats = Stats::new(&Recording::open(&options.file)?);
            print(options.json, || stats.to_json(), || stats.to_text())
        }
        Reading::Table(options) => {
            let chosen = &options.selection;
            let (measure, by) = (chosen.measure.into(), chosen.by.into());
            let recording = Recording::open(&options.file)?;
            let table = Table::new(&recording, measure, by, options.cumulative, chosen.top)?;
            print(chosen.json, || table.to_json(), || table.to_text())
        }
        Reading::Tree(options) => {
            let recording = Recording::open(&options.file)?;
            let (measure, by) = (options.measure.into(), options.by.into());
            let tree = CallTree::new(&recording, measure, by, options.top)?;
            print(options.json, || tree.to_json(), || tree.to_text())
        }
        Reading::Diff(options) => {
            let chosen = &options.selection;
            let (old, new) = (
                Recording::open(&options.old)?,
                Recording::open(&options.new)?,
            );
            if let Some(path) = &options.html {
                let captures = [&*options.old, &*options.new];
                let path = page_destination(Some(path), &captures)?;
                let sources = !options.no_source;
                let page = compared_html(old, new, HtmlOptions { sources })?;
                return deliver(path, &page);
            }
            let (measure, by) = (chosen.measure.into(), chosen.by.into());
            let diff = Diff::new(&old, &new, measure, by, chosen.top)?;
            print(chosen.json, || diff.to_json(), || diff.to_text())
        }
        Reading::Export(options) => run_export(options),
        Reading::Report(options) => run_report(options),
    }
}

fn run_export(options: &ExportOptions) -> Result<(), String> {
    let format = Format::from(options.format);
    if options.measure.is_some() && format != Format::Collapsed {
        return Err(
            "--measure is for collapsed stacks: the other formats hold all measures".into(),
        );
    }
    let measure = options.measure.map_or(Measure::Peak, Measure::from);
    let recording = Recording::open(&options.file)?;
    recording.check(measure)?;
    if options.output.is_none() && format.is_binary() && io::stdout().is_terminal() {
        return Err("this format is not text: name a file with -o OUT".into());
    }
    let path = destination(options.output.as_deref())?;
    // Complete before any of it is written: a file is replaced at once or not at
    // all, and a closed pipe is an error of ours and not of some encoder.
    let mut content = Vec::new();
    export(&recording, format, measure, &mut content).map_err(|error| error.to_string())?;
    deliver(path, &content)
}

fn run_report(options: &ReportOptions) -> Result<(), String> {
    let recording = Recording::open(&options.file)?;
    if options.output.is_none() && io::stdout().is_terminal() {
        return Err("a page is for a browser: name a file with -o report.html".into());
    }
    let path = page_destination(options.output.as_deref(), &[&options.file])?;
    let sources = !options.no_source;
    deliver(path, &html(&recording, HtmlOptions { sources })?)
}

/// Where a page of `captures` goes, which is none of them.
fn page_destination(path: Option<&Path>, captures: &[&Path]) -> Result<Option<PathBuf>, String> {
    let path = destination(path)?;
    let would_replace = |path: &Path| captures.iter().any(|file| is_same_file(path, file));
    match path.as_deref().is_some_and(would_replace) {
        true => Err("it would overwrite the capture: name another file for the page".into()),
        false => Ok(path),
    }
}

/// Where something goes that is asked for, made sure of.
pub fn destination(path: Option<&Path>) -> Result<Option<PathBuf>, String> {
    let checked = path.map(|path| check_destination(path).map_err(|error| error.to_string()));
    checked.transpose()
}

fn deliver(path: Option<PathBuf>, content: &[u8]) -> Result<(), String> {
    match path {
        Some(path) => write_destination(&path, content).map_err(|error| error.to_string()),
        None => put_out(content),
    }
}

fn print(
    as_json: bool,
    json: impl FnOnce() -> String,
    text: impl FnOnce() -> String,
) -> Result<(), String> {
    let content = if as_json { json() } else { text() };
    put_out(content.as_bytes())
}

/// Writes to standard output. Whoever reads may have seen enough, which is no error.
pub fn put_out(content: &[u8]) -> Result<(), String> {
    let mut out = io::stdout();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write: {}", reason(&error)))
        }
        _ => Ok(()),
    }
}

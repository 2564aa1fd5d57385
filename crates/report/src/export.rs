//! A recording in the formats of other tools.

mod collapsed;
mod columns;
mod parquet;
mod pprof;
mod speedscope;

use std::io::{self, Write};

use crate::recording::{Measure, Recording};

/// A format that others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Google's profile.proto, compressed: `pprof`, `go tool pprof`, Grafana.
    Pprof,
    /// JSON for <https://www.speedscope.app>.
    Speedscope,
    /// One line a stack, for flame graphs: inferno, `flamegraph.pl`.
    Collapsed,
    /// A table of all tracebacks, as text.
    Csv,
    /// The same table in columns.
    Parquet,
}

impl Format {
    /// Is it for programs only?
    #[must_use]
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Pprof | Format::Parquet)
    }
}

/// Write `recording` to `out`. `measure` is what [`Format::Collapsed`] has room for.
///
/// # Errors
/// What `out` answers.
pub fn export(
    recording: &Recording,
    format: Format,
    measure: Measure,
    out: &mut (impl Write + Send),
) -> io::Result<()> {
    match format {
        Format::Pprof => pprof::write(recording, out),
        Format::Speedscope => speedscope::write(recording, out),
        Format::Collapsed => collapsed::write(recording, measure, out),
        Format::Csv => columns::write_csv(recording, out),
        Format::Parquet => parquet::write(recording, out),
    }
}

#[cfg(test)]
mod tests;

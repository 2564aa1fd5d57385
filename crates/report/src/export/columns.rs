//! The table of all tracebacks: its columns, and as CSV.

use std::io::{self, Write};

use crate::recording::{Recording, Row};

/// What stands in a column.
pub enum Values {
    /// Text; nothing where it is not known.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<u64>),
}

/// A column and its name.
pub struct Column {
    /// The name, the same in every format.
    pub name: &'static str,
    /// One value a row.
    pub values: Values,
}

/// The columns, of one value for each of the recording's rows. What was not
/// counted has no column.
pub fn columns(recording: &Recording) -> Vec<Column> {
    let rows = &recording.rows;
    let text = |name, value: &dyn Fn(&Row) -> Option<String>| Column {
        name,
        values: Values::Text(rows.iter().map(value).collect()),
    };
    let number = |name, value: &dyn Fn(&Row) -> u64| Column {
        name,
        values: Values::Number(rows.iter().map(value).collect()),
    };
    let top = |row: &Row| {
        let location = recording.capture.frames(row.traceback).next();
        location.map(|location| recording.name(location))
    };
    let mut all = vec![
        text("file", &|row| top(row).map(|frame| frame.file.into_owned())),
        number("line", &|row| top(row).map_or(0, |frame| frame.line.into())),
        text("function", &|row| {
            top(row).and_then(|frame| Some(frame.function?.into_owned()))
        }),
        number("domain", &|row| {
            recording.capture.domain(row.traceback).into()
        }),
        number("end_bytes", &|row| row.end.bytes),
        number("end_blocks", &|row| row.end.blocks),
        number("peak_bytes", &|row| row.peak.bytes),
        number("peak_blocks", &|row| row.peak.blocks),
    ];
    if recording.counts_allocations() {
        all.push(number("allocated_bytes", &|row| row.allocated.bytes));
        all.push(number("allocated_blocks", &|row| row.allocated.blocks));
    }
    if recording.capture.counts_temporary() {
        all.push(number("temporary_bytes", &|row| row.temporary.bytes));
        all.push(number("temporary_blocks", &|row| row.temporary.blocks));
    }
    all.push(text("traceback", &|row| {
        let frames = recording.oldest_first(row);
        let labels: Vec<String> = frames
            .iter()
            .map(|&location| recording.name(location).label())
            .collect();
        Some(labels.join(";"))
    }));
    all
}

pub fn write_csv(recording: &Recording, out: &mut impl Write) -> io::Result<()> {
    let columns = columns(recording);
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns.iter().map(|column| column.name))?;
    for row in 0..recording.rows.len() {
        for column in &columns {
            match &column.values {
                Values::Text(values) => {
                    writer.write_field(values[row].as_deref().unwrap_or_default())?;
                }
                Values::Number(values) => writer.write_field(values[row].to_string())?,
            }
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

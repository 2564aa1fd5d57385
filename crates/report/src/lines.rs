//! What each line of a function did to memory: memory_profiler's table, exact.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

/// A mebibyte.
const MIB: f64 = (1 << 20) as f64;

/// What one line did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCost {
    /// The most bytes that were live after the line.
    pub memory: u64,
    /// By how many bytes more were live after the line than before it, summed up.
    pub increment: i64,
    /// How often the line was begun.
    pub occurrences: u64,
}

/// The lines of one function.
#[derive(Clone, Debug, Default)]
pub struct LineTable {
    /// The file, as the code names it.
    pub file: String,
    /// The function's qualified name.
    pub function: String,
    /// Its first line, decorators included.
    pub first_line: u32,
    /// Its last line.
    pub last_line: u32,
    /// Its lines that ran.
    pub lines: BTreeMap<u32, LineCost>,
    /// The lines of the file, as far as they are known.
    pub source: Vec<String>,
}

#[derive(Serialize)]
struct LineJson<'a> {
    line: u32,
    memory_bytes: Option<u64>,
    increment_bytes: Option<i64>,
    occurrences: u64,
    text: &'a str,
}

#[derive(Serialize)]
struct TableJson<'a> {
    file: &'a str,
    function: &'a str,
    first_line: u32,
    last_line: u32,
    lines: Vec<LineJson<'a>>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    functions: Vec<TableJson<'a>>,
}

impl LineTable {
    /// From the first line of the function to its last, those that did not run
    /// without figures.
    fn rows(&self) -> impl Iterator<Item = (u32, &str, Option<LineCost>)> {
        let ran = self.lines.keys();
        let first = ran.clone().next().copied().unwrap_or(self.first_line);
        let last = ran.last().copied().unwrap_or(self.last_line);
        let range = first.min(self.first_line)..=last.max(self.last_line);
        range.map(|line| {
            let index = (line as usize).checked_sub(1);
            let text = index.and_then(|index| self.source.get(index));
            let text = text.map_or("", |text| text.trim_end());
            (line, text, self.lines.get(&line).copied())
        })
    }

    /// The table, with so many digits after the point of a mebibyte.
    pub fn to_text(&self, precision: usize) -> String {
        let row = |line: &str, memory: &str, increment: &str, occurrences: &str, text: &str| {
            let row = format!("{line:>6} {memory:>12} {increment:>12}  {occurrences:>11}   {text}");
            row.trim_end().to_string() + "\n"
        };
        let mebibytes = |bytes: f64| {
            let width = precision + 4;
            format!("{:>width$.precision$} MiB", bytes / MIB)
        };
        let head = row(
            "Line #",
            "Mem usage",
            "Increment",
            "Occurrences",
            "Line Contents",
        );
        let mut out = format!("Filename: {}\n\n{head}", self.file);
        let _ = writeln!(out, "{}", "=".repeat(head.len() - 1));
        for (line, text, cost) in self.rows() {
            let line = line.to_string();
            out += &match cost {
                None => row(&line, "", "", "", text),
                Some(cost) => row(
                    &line,
                    &mebibytes(cost.memory as f64),
                    &mebibytes(cost.increment as f64),
                    &cost.occurrences.to_string(),
                    text,
                ),
            };
        }
        out + "\n\n"
    }

    fn to_json(&self) -> TableJson<'_> {
        let lines = self.rows().map(|(line, text, cost)| LineJson {
            line,
            memory_bytes: cost.map(|cost| cost.memory),
            increment_bytes: cost.map(|cost| cost.increment),
            occurrences: cost.map_or(0, |cost| cost.occurrences),
            text,
        });
        TableJson {
            file: &self.file,
            function: &self.function,
            first_line: self.first_line,
            last_line: self.last_line,
            lines: lines.collect(),
        }
    }
}

/// The tables as one JSON document, in bytes.
pub fn lines_to_json(tables: &[LineTable]) -> String {
    crate::text::json(&Document {
        schema: 1,
        functions: tables.iter().map(LineTable::to_json).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LineTable {
        let cost = |memory, increment, occurrences| LineCost {
            memory,
            increment,
            occurrences,
        };
        LineTable {
            file: "app.py".into(),
            function: "f".into(),
            first_line: 2,
            last_line: 5,
            lines: [
                (2, cost(1 << 20, 1 << 20, 1)),
                (4, cost(3 << 20, 2 << 20, 7)),
                (5, cost(3 << 20, -(1 << 19), 1)),
            ]
            .into(),
            source: ["", "@profile", "def f():", "    a()", "    b()"]
                .map(|line| format!("{line}\n"))
                .into(),
        }
    }

    #[test]
    fn text_is_the_familiar_table() {
        let expected = "\
Filename: app.py

Line #    Mem usage    Increment  Occurrences   Line Contents
=============================================================
     2      1.0 MiB      1.0 MiB            1   @profile
     3                                          def f():
     4      3.0 MiB      2.0 MiB            7       a()
     5      3.0 MiB     -0.5 MiB            1       b()


";
        assert_eq!(table().to_text(1), expected);
        assert!(table().to_text(4).contains("  -0.5000 MiB"));
    }

    #[test]
    fn a_line_beyond_the_function_and_a_lost_source_are_shown() {
        let mut table = table();
        table.source.clear();
        table.lines.insert(8, LineCost::default());
        let text = table.to_text(1);
        assert!(text.contains("\n     8      0.0 MiB      0.0 MiB            0\n"));
    }

    #[test]
    fn json_is_exact() {
        let json: serde_json::Value =
            serde_json::from_str(&lines_to_json(&[table()])).expect("it is JSON");
        let lines = &json["functions"][0]["lines"];
        assert_eq!(lines[3]["increment_bytes"], -(1 << 19));
        assert_eq!(lines[1]["memory_bytes"], serde_json::Value::Null);
        assert_eq!(lines[2]["text"], "    a()");
    }
}

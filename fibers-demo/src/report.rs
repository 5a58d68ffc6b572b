//! What a part found out, and its two faces: rows of the closing table, and one JSON object.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// Writes a line to stdout. If nobody reads it any more (`| head`) the demo ends; if it cannot be written it says so.
pub fn tell_line(line: std::fmt::Arguments<'_>) {
    let Err(error) = writeln!(std::io::stdout(), "{line}") else {
        return;
    };
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("fibers-demo: standard output: {error}: send it to where there is room");
    std::process::exit(1);
}

/// As `println`, by [`tell_line`].
macro_rules! tell {
    ($($text:tt)*) => { $crate::report::tell_line(format_args!($($text)*)) };
}
pub(crate) use tell;

/// The checked result of one part.
#[derive(Debug)]
pub struct Report {
    /// The part's name, as its subcommand is spelt.
    pub part: &'static str,
    /// The size it ran with, in the part's own unit.
    pub size: u64,
    /// Workers of its machine.
    pub workers: u64,
    /// What was timed, in order.
    pub rows: Vec<Row>,
    /// More results, for JSON only.
    pub facts: Vec<(&'static str, Value)>,
}

/// One timed stretch of a part.
#[derive(Debug)]
pub struct Row {
    /// What was done, for the table.
    pub what: String,
    /// How many times it was done.
    pub operations: u64,
    /// What one of them is called, in the plural; for JSON, the table's `what` says it.
    pub unit: &'static str,
    /// How long all of them took.
    pub time: Duration,
    /// What it held in memory.
    pub memory: Memory,
}

/// A figure for the column of bytes.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// Nothing worth a figure.
    None,
    /// The most that was resident in the whole process.
    PeakBytes(u64),
    /// What each fiber added to the process, its stack and page tables included.
    BytesEach(u64),
}

impl Row {
    fn per_second(&self) -> f64 {
        self.operations as f64 / self.time.as_secs_f64().max(1e-9)
    }

    fn nanoseconds_each(&self) -> f64 {
        self.time.as_nanos() as f64 / self.operations.max(1) as f64
    }

    fn cells(&self, part: &str) -> [String; 6] {
        [
            part.to_string(),
            self.what.clone(),
            short_time(self.time.as_nanos() as f64),
            // One of a kind has no rate worth reading, nor has none.
            match self.operations {
                0 | 1 => String::new(),
                _ => format!("{}/s", short_number(self.per_second())),
            },
            match self.operations {
                0 => String::new(),
                _ => short_time(self.nanoseconds_each()),
            },
            match self.memory {
                Memory::None => String::new(),
                Memory::PeakBytes(bytes) => format!("{} peak", short_bytes(bytes)),
                Memory::BytesEach(bytes) => format!("{} B each", grouped(bytes)),
            },
        ]
    }

    fn to_json(&self) -> Value {
        let mut row = json!({
            "what": self.what,
            "operations": self.operations,
            "unit": self.unit,
            "seconds": self.time.as_secs_f64(),
            "per_second": self.per_second(),
        });
        if self.operations > 0 {
            row["ns_each"] = self.nanoseconds_each().into();
        }
        match self.memory {
            Memory::None => {}
            Memory::PeakBytes(bytes) => row["peak_bytes"] = bytes.into(),
            Memory::BytesEach(bytes) => row["bytes_each"] = bytes.into(),
        }
        row
    }
}

impl Report {
    /// The report as one line of JSON.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("part".into(), self.part.into());
        object.insert("ok".into(), true.into());
        object.insert("size".into(), self.size.into());
        object.insert("workers".into(), self.workers.into());
        object.insert("rows".into(), self.rows.iter().map(Row::to_json).collect());
        for (name, value) in &self.facts {
            object.insert((*name).into(), value.clone());
        }
        Value::Object(object).to_string()
    }
}

/// The line of JSON for a part that failed.
pub fn failure_json(part: &str, why: &str) -> String {
    json!({ "part": part, "ok": false, "error": why }).to_string()
}

/// The closing table: text to the left, figures to the right, columns as wide as they must be.
pub fn table(reports: &[Report]) -> String {
    let head = ["part", "what", "time", "rate", "each", "memory"].map(String::from);
    let mut lines = vec![head];
    for report in reports {
        for (index, row) in report.rows.iter().enumerate() {
            lines.push(row.cells(if index == 0 { report.part } else { "" }));
        }
    }
    let mut widths = [0; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let rule = widths.map(|width| "─".repeat(width)).join("  ");
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let padded: Vec<String> = line.iter().zip(widths).enumerate().map(pad).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
        if index == 0 {
            text.push_str(&rule);
            text.push('\n');
        }
    }
    text
}

/// Pads one cell; the first two columns are text, the others figures.
fn pad((column, (cell, width)): (usize, (&String, usize))) -> String {
    if column < 2 {
        format!("{cell:<width$}")
    } else {
        format!("{cell:>width$}")
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in binary units, one decimal.
pub fn short_bytes(bytes: u64) -> String {
    let steps = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match steps.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// A time in the unit in which it is easiest to read.
pub fn short_time(nanoseconds: f64) -> String {
    let steps = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    match steps.into_iter().find(|(unit, _)| nanoseconds >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", nanoseconds / unit),
        None => format!("{nanoseconds:.1} ns"),
    }
}

/// A number with one decimal, in thousands, millions or billions.
pub fn short_number(number: f64) -> String {
    let steps = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    match steps.into_iter().find(|(unit, _)| number >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", number / unit),
        None => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |what: &str, memory| Row {
            what: what.into(),
            operations: 2_000,
            unit: "hops",
            time: Duration::from_micros(10),
            memory,
        };
        Report {
            part: "ring",
            size: 1,
            workers: 2,
            rows: vec![
                row("short", Memory::None),
                row("a longer one", Memory::PeakBytes(2048)),
            ],
            facts: vec![("sum", 7.into())],
        }
    }

    #[test]
    fn columns_line_up() {
        let text = table(&[report()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        let column = |line: &str| line.find("10.0 µs");
        assert_eq!(column(lines[2]), column(lines[3]));
        assert!(
            lines[3].ends_with("200.0 M/s  5.0 ns  2.0 KiB peak"),
            "{text}"
        );
    }

    #[test]
    fn json_is_one_line_with_every_figure() {
        let line = report().to_json();
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["rows"][1]["peak_bytes"], 2048);
        assert_eq!(value["sum"], 7);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}

//! Counts beside what is recorded: the table, and whether it is good.

use std::fmt;

use crate::count::Count;
use crate::limits::{Limit, Limits};

/// What to say of a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Same,
    /// More than the limit.
    Risen,
    /// Less by more than the tolerance: a limit so far above allows much to creep back.
    Fallen,
    /// Nothing is recorded.
    New,
}

#[derive(Debug)]
struct Row {
    count: Count,
    limit: Option<Limit>,
    verdict: Verdict,
}

/// See the head of the file. Displays as the table.
#[derive(Debug)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    /// Compares.
    pub(crate) fn new(limits: &Limits, counts: &[Count]) -> Self {
        let row = |count: &Count| {
            let limit = limits.of(count.name).cloned();
            Row {
                verdict: compare(count.instructions, limit.as_ref()),
                count: *count,
                limit,
            }
        };
        Self(counts.iter().map(row).collect())
    }

    /// Whether nothing has risen.
    ///
    /// # Errors
    /// What has, by how much, and what to do.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let bad = |verdict| matches!(verdict, Verdict::Risen | Verdict::New);
        let wrong: Vec<_> = self.0.iter().filter(|row| bad(row.verdict)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let mut text = String::from("not as recorded in benches/instructions/limits.txt:\n");
        for row in wrong {
            let (name, instructions) = (row.count.name, row.count.instructions);
            text += &match &row.limit {
                Some(limit) => format!(
                    "  {name} takes {instructions:.1} instructions; the limit is {:.1} ({:.1} recorded, and {} %)\n",
                    limit.most(),
                    limit.recorded,
                    limit.tolerance_percent
                ),
                None => {
                    format!("  {name} takes {instructions:.1} instructions; none are recorded\n")
                }
            };
        }
        text += "Find what was added (README.md beside that file says how). If it is worth its price, record it and say \
                 why:\n    cargo run --release -p instructions -- --record";
        Err(text)
    }
}

fn compare(instructions: f64, limit: Option<&Limit>) -> Verdict {
    match limit {
        None => Verdict::New,
        Some(limit) if instructions > limit.most() => Verdict::Risen,
        Some(limit) if limit.recorded > instructions * (1.0 + limit.tolerance_percent / 100.0) => {
            Verdict::Fallen
        }
        Some(_) => Verdict::Same,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22}{:>12}{:>12}{:>10}",
            "path", "instructions", "recorded", "change"
        )?;
        for Row {
            count,
            limit,
            verdict,
        } in &self.0
        {
            write!(f, "{:<22}{:>12.1}", count.name, count.instructions)?;
            if let Some(limit) = limit {
                let change = 100.0 * (count.instructions / limit.recorded - 1.0);
                // Rounded first, so that nothing is shown as -0.0.
                let change = (change * 10.0).round() / 10.0 + 0.0;
                write!(f, "{:>12.1}{change:>8.1} %", limit.recorded)?;
            }
            writeln!(
                f,
                "{}",
                match verdict {
                    Verdict::Same => "",
                    Verdict::Risen => "  RISEN",
                    Verdict::Fallen => "  fallen: record it",
                    Verdict::New => "  not recorded",
                }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Verdict};
    use crate::count::Count;
    use crate::limits::Limits;

    const YIELD: &str = "yield";

    /// Of a path with 100 recorded, at 5 %.
    fn report(name: &'static str, instructions: f64) -> Report {
        let limits = Limits::parse("with: rustc 1\nyield 100 5").unwrap();
        Report::new(&limits, &[Count { name, instructions }])
    }

    #[test]
    fn more_than_the_limit_fails_with_the_number_and_the_limit() {
        assert!(report(YIELD, 105.0).judge().is_ok());
        let error = report(YIELD, 105.2).judge().unwrap_err();
        for wanted in [
            "yield takes 105.2",
            "limit is 105.0",
            "100.0 recorded",
            "--record",
        ] {
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }

    #[test]
    fn less_is_told_and_does_not_fail() {
        let report = report(YIELD, 94.0);
        assert!(report.to_string().contains("record it"), "{report}");
        assert!(report.judge().is_ok());
    }

    #[test]
    fn about_the_same_says_nothing() {
        for instructions in [96.0, 100.0, 104.9] {
            assert_eq!(report(YIELD, instructions).0[0].verdict, Verdict::Same);
        }
    }

    #[test]
    fn what_is_not_recorded_fails() {
        let report = report("mutex", 1.0);
        assert!(report.to_string().contains("not recorded"));
        assert!(report.judge().unwrap_err().contains("mutex takes 1.0"));
    }
}

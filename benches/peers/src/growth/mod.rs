//! The growth suite: what one operation costs as there is more of everything.
//!
//! A measurement is a child process as in the other suites, or for sockets a server and a load as in the
//! io suite.
//!
//! | file | holds |
//! |---|---|
//! | `subject` | what grows, how far, whose lines are drawn: data only |
//! | `work` | what the tasks do, in numbers that all peers share |
//! | `report` | charts, lines and points |
//! | `runner`, `table` | rounds and statistics; the tables for terminals |

pub(crate) mod report;
pub(crate) mod runner;
mod subject;
pub(crate) mod table;
pub(crate) mod work;

/// The names of all charts.
#[cfg(test)]
pub(crate) fn chart_names() -> impl Iterator<Item = &'static str> {
    let subjects = subject::SUBJECTS.iter();
    let charts = subjects.flat_map(|subject| subject.charts());
    charts.map(|words| words.name)
}

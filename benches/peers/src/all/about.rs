//! What a report is about: machine, versions of the tools, commit, date, command.

use std::env;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::machine;

/// On what, of what, when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct About {
    /// What to type to do the same again.
    pub(crate) command: String,
    /// When it began, in UTC.
    pub(crate) date: String,
    /// The commit that was measured, if it is known.
    pub(crate) commit: Option<String>,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// The load of the last minute before the first measurement.
    pub(crate) load_before: String,
    /// The same after the last one, our own included; absent if the run was not finished.
    pub(crate) load_after: Option<String>,
    /// Sizes are too small for conclusions.
    pub(crate) quick: bool,
}

impl About {
    /// At the start of a run.
    pub(crate) fn now(quick: bool) -> About {
        About {
            command: command(env::args().skip(1)),
            date: date(SystemTime::now()),
            commit: commit(),
            processor: machine::processor(),
            cores: machine::cores(),
            memory_bytes: machine::memory_bytes(),
            kernel: machine::kernel(),
            rustc: said("rustc", &["--version"]).unwrap_or("rustc, unknown version".to_string()),
            load_before: machine::load(),
            load_after: None,
            quick,
        }
    }

    /// At its end.
    pub(crate) fn ended(&mut self) {
        self.load_after = Some(machine::load());
    }

    /// For readers, a fact a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let memory = self.memory_bytes as f64 / f64::from(1 << 30);
        let commit = self.commit.as_deref().unwrap_or("unknown");
        let after = self.load_after.as_deref().unwrap_or("unknown");
        vec![
            format!("{}, {} cores, {memory:.1} GiB", self.processor, self.cores),
            format!("{}, {}", self.kernel, self.rustc),
            format!("commit {commit}, {} UTC", self.date),
            format!("load {} before, {after} after", self.load_before),
            self.command.clone(),
        ]
    }
}

/// The command line that leads to these arguments.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut line = "cargo run --release -p peers --".to_string();
    for argument in arguments {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,=:".contains(&byte);
        line.push(' ');
        if !argument.is_empty() && argument.bytes().all(plain) {
            line.push_str(&argument);
        } else {
            line.push_str(&format!("'{}'", argument.replace('\'', r"'\''")));
        }
    }
    line
}

/// `2026-11-21 16:09`.
fn date(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let minutes = since.as_secs() / 60;
    let (year, month, day) = civil(minutes / (24 * 60));
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// Year, month and day, so many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

/// The commit of the source, and whether there are changes to it.
fn commit() -> Option<String> {
    let hash = said("git", &["rev-parse", "--short", "HEAD"])?;
    let changes = said("git", &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() {
        hash
    } else {
        format!("{hash} with changes")
    })
}

/// What a tool prints, run beside this crate's manifest.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00");
        assert_eq!(at(951_827_696), "2000-02-29 12:34");
        assert_eq!(at(1_735_689_599), "2024-12-31 23:59");
        assert_eq!(at(1_798_761_600), "2027-01-01 00:00");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00");
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let command = |arguments: &[&str]| command(arguments.iter().map(|a| a.to_string()));
        assert_eq!(
            command(&["all", "--svg", "benches/charts"]),
            "cargo run --release -p peers -- all --svg benches/charts"
        );
        assert!(command(&["all", "a b", "it's", ""]).ends_with(r"all 'a b' 'it'\''s' ''"));
    }
}

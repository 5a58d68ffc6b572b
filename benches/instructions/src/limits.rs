//! The file with what was recorded: `limits.txt` beside this crate's manifest.
//!
//! A line for the setting, and one for each path: its name, its instructions per operation, by how many percent they
//! may rise, and if that is not the usual, why. Lines that begin with `#` are comments. The program writes the file, but
//! for tolerances and their reasons, which it keeps.

use std::fmt::{self, Write as _};
use std::{fs, path};

use crate::count::Count;
use crate::paths;
use crate::setting::Setting;

/// By how many percent a path may rise if its line says nothing else.
const TOLERANCE_PERCENT: f64 = 5.0;

const HEAD: &str = "\
# Instructions per operation in user space, on one worker: see README.md. Written by
#     cargo run --release -p instructions -- --record
# Each line: path, instructions, tolerance in percent, and the reason for one that is not 5.
";

/// What the line of the setting begins with.
const WITH: &str = "with:";

/// See the head of the file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Limits {
    pub setting: Setting,
    lines: Vec<Limit>,
}

/// What is recorded of one path.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Limit {
    name: String,
    /// Instructions per operation.
    pub recorded: f64,
    pub tolerance_percent: f64,
    why: String,
}

impl Limits {
    /// What is in the file.
    ///
    /// # Errors
    /// It cannot be read, or not be understood; the error names file and line.
    pub(crate) fn load() -> Result<Self, String> {
        let path = file();
        let text = fs::read_to_string(&path).map_err(|error| at(&path, error))?;
        Self::parse(&text).map_err(|error| at(&path, error))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(&self) -> Result<(), String> {
        let path = file();
        fs::write(&path, self.to_string()).map_err(|error| at(&path, error))
    }

    /// The line of that path.
    pub(crate) fn of(&self, name: &str) -> Option<&Limit> {
        self.lines.iter().find(|limit| limit.name == name)
    }

    /// With these counts in place of what was recorded for their paths; without paths that are no more.
    ///
    /// # Errors
    /// Some paths were not counted, and their figures would stand beside figures from elsewhere.
    pub(crate) fn record(&self, here: Setting, counts: &[Count]) -> Result<Self, String> {
        let mut lines = Vec::new();
        for path in paths::PATHS {
            let old = self.of(path.name);
            match (counts.iter().find(|count| count.name == path.name), old) {
                (Some(count), _) => lines.push(Limit {
                    name: path.name.to_owned(),
                    recorded: count.instructions,
                    tolerance_percent: old.map_or(TOLERANCE_PERCENT, |old| old.tolerance_percent),
                    why: old.map_or(String::new(), |old| old.why.clone()),
                }),
                (None, Some(_)) if self.setting != here => {
                    return Err(format!(
                        "what is recorded is of {}, this is {here}: record all paths",
                        self.setting
                    ));
                }
                (None, old) => lines.extend(old.cloned()),
            }
        }
        Ok(Self {
            setting: here,
            lines,
        })
    }

    /// Of a file's text.
    ///
    /// # Errors
    /// It is not one; the error names the line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut setting = None;
        let mut lines: Vec<Limit> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| format!("line {}: {what}: {line}", index + 1);
            if let Some(with) = line.strip_prefix(WITH) {
                if setting.replace(Setting::parse(with)).is_some() {
                    return Err(wrong("a second setting"));
                }
                continue;
            }
            let limit = Limit::parse(line).ok_or_else(|| {
                wrong("expected a path, instructions, a tolerance in percent, and a reason if that is not 5")
            })?;
            if lines.iter().any(|other| other.name == limit.name) {
                return Err(wrong("a second line for this path"));
            }
            lines.push(limit);
        }
        let setting = setting.ok_or_else(|| format!("no line begins with `{WITH}`"))?;
        Ok(Self { setting, lines })
    }
}

impl Limit {
    /// What a count must not exceed.
    pub(crate) fn most(&self) -> f64 {
        self.recorded * (1.0 + self.tolerance_percent / 100.0)
    }

    /// `None`: not a line of this file.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let mut number = || {
            let number: f64 = words.next()?.parse().ok()?;
            (number.is_finite() && number > 0.0).then_some(number)
        };
        let (recorded, tolerance_percent) = (number()?, number()?);
        let why = words.collect::<Vec<_>>().join(" ");
        let is_usual = tolerance_percent == TOLERANCE_PERCENT;
        (is_usual || !why.is_empty()).then_some(Self {
            name,
            recorded,
            tolerance_percent,
            why,
        })
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}{WITH} {}\n\n", self.setting)?;
        for limit in &self.lines {
            let mut line = format!(
                "{:<22}{:>10.1}{:>5}",
                limit.name, limit.recorded, limit.tolerance_percent
            );
            if !limit.why.is_empty() {
                write!(line, "  {}", limit.why)?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

fn file() -> path::PathBuf {
    path::Path::new(env!("CARGO_MANIFEST_DIR")).join("limits.txt")
}

fn at(path: &path::Path, error: impl fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::{Limits, TOLERANCE_PERCENT};
    use crate::count::Count;
    use crate::paths::PATHS;
    use crate::setting::Setting;

    const TEXT: &str =
        "# a comment\nwith: rustc 1\n\nyield 100.0 5\nmutex  20.5 7.5  it is noisy\n";

    fn counts(instructions: f64) -> Vec<Count> {
        let count = |path: &crate::paths::Path| Count {
            name: path.name,
            instructions,
        };
        PATHS.iter().map(count).collect()
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let limits = Limits::parse(TEXT).unwrap();
        assert_eq!(limits.setting, Setting::parse("rustc 1"));
        assert_eq!(limits.of("yield").unwrap().most(), 105.0);
        let mutex = limits.of("mutex").unwrap();
        assert_eq!((mutex.recorded, mutex.tolerance_percent), (20.5, 7.5));
        assert_eq!(mutex.why, "it is noisy");
        assert!(limits.of("yields").is_none());
        assert_eq!(Limits::parse(&limits.to_string()).unwrap(), limits);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, wanted) in [
            ("with: rustc 1\nyield", "line 2"),
            ("with: rustc 1\n\nyield many 5", "line 3"),
            ("with: rustc 1\nyield -1 5", "expected a path"),
            ("with: rustc 1\nyield NaN 5", "expected a path"),
            ("with: rustc 1\nyield 100", "expected a path"),
            ("with: rustc 1\nyield 100 0 exact", "expected a path"),
            // A tolerance of one's own needs a reason.
            ("with: rustc 1\nyield 100 7", "a reason"),
            ("with: rustc 1\nyield 100 5\nyield 90 5", "a second line"),
            ("with: rustc 1\nwith: rustc 2", "a second setting"),
            ("yield 100 5", "with:"),
        ] {
            let error = Limits::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_record_keeps_tolerances_and_reasons() {
        let here = Setting::parse("rustc 2");
        let limits = Limits::parse(TEXT).unwrap();
        let recorded = limits.record(here.clone(), &counts(7.0)).unwrap();
        assert_eq!(recorded.setting, here);
        assert_eq!(recorded.lines.len(), PATHS.len());
        let mutex = recorded.of("mutex").unwrap();
        assert_eq!((mutex.recorded, mutex.tolerance_percent), (7.0, 7.5));
        assert_eq!(mutex.why, "it is noisy");
        let other = recorded.of("yield").unwrap();
        assert_eq!(other.tolerance_percent, TOLERANCE_PERCENT);
    }

    #[test]
    fn a_record_of_some_paths_leaves_the_others_but_mixes_no_settings() {
        let limits = Limits::parse(TEXT).unwrap();
        let mut counts = counts(7.0);
        counts.retain(|count| count.name == "mutex");
        let recorded = limits.record(limits.setting.clone(), &counts).unwrap();
        assert_eq!(recorded.of("mutex").unwrap().recorded, 7.0);
        assert_eq!(recorded.of("yield"), limits.of("yield"));
        assert!(limits.record(Setting::parse("rustc 2"), &counts).is_err());
    }

    #[test]
    fn the_file_has_every_path_and_no_other() {
        let limits = Limits::load().unwrap();
        let recorded: Vec<_> = limits.lines.iter().map(|limit| &*limit.name).collect();
        let paths: Vec<_> = PATHS.iter().map(|path| path.name).collect();
        assert_eq!(recorded, paths);
    }
}

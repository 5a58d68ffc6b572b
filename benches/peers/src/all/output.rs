//! Where a report goes: charts and the report itself into a directory, the page into a file.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

use clap::Args;

use super::report::Report;
use crate::{chart, page};

/// What is to be written.
#[derive(Debug, Default, Args)]
pub(crate) struct OutputArgs {
    /// Draw charts into this directory, and save the report there.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Write the page to this file; with --svg it shows the charts.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// The report's name beside the charts.
const REPORT: &str = "report.json";

/// Directories that exist, and files that can be written.
#[derive(Debug)]
pub(super) struct Output<'a> {
    args: &'a OutputArgs,
}

impl<'a> Output<'a> {
    /// Makes the directories, and looks whether files can be written there: who waits for half an hour must not learn
    /// only then that they cannot.
    pub(super) fn prepare(args: &'a OutputArgs) -> Result<Output<'a>, String> {
        let output = Output { args };
        if let Some(charts) = args.svg.as_deref() {
            let made = fs::create_dir_all(charts).and_then(|()| writable(&charts.join(REPORT)));
            made.map_err(|error| format!("--svg {}", failed(charts, &error)))?;
        }
        if let Some(page) = args.markdown.as_deref() {
            let made = fs::create_dir_all(directory(page)).and_then(|()| writable(page));
            made.map_err(|error| format!("--markdown {}", failed(page, &error)))?;
        }
        if let Some(report) = output.report() {
            writable(&report).map_err(|error| failed(&report, &error))?;
        }
        Ok(output)
    }

    /// Where the report is saved: beside the charts, or beside the page if there are none.
    fn report(&self) -> Option<PathBuf> {
        match (&self.args.svg, &self.args.markdown) {
            (Some(charts), _) => Some(charts.join(REPORT)),
            (None, Some(page)) => Some(page.with_extension("json")),
            (None, None) => None,
        }
    }

    /// Saves the report.
    pub(super) fn save(&self, report: &Report) -> Result<(), String> {
        let Some(path) = self.report() else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(report).expect("a report has string keys");
        write(&path, &(text + "\n"))
    }

    /// Draws the charts and writes the page.
    pub(super) fn draw(&self, report: &Report) -> Result<(), String> {
        let mut links = None;
        if let Some(charts) = &self.args.svg {
            for drawing in report.parts.iter().flat_map(chart::draw) {
                write(&charts.join(&drawing.file), &drawing.svg)?;
            }
            if let Some(page) = &self.args.markdown {
                links = Some(link(directory(page), charts)?);
            }
        }
        match &self.args.markdown {
            Some(path) => write(path, &page::write(report, links.as_deref())),
            None => Ok(()),
        }
    }
}

/// Whether `file` can be written. It stays as it is; one that is not there is made, and taken away again.
fn writable(file: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    match made {
        Ok(_) => fs::remove_file(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(file).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Where `file` is.
fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// How a page in `from` links to what is in `to`.
fn link(from: &Path, to: &Path) -> Result<String, String> {
    let real = |path: &Path| path.canonicalize().map_err(|error| failed(path, &error));
    Ok(relative(&real(from)?, &real(to)?))
}

/// The way from one directory to another, both absolute.
fn relative(from: &Path, to: &Path) -> String {
    let [from, to]: [Vec<Component>; 2] = [from, to].map(|path| path.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| "..".to_string());
    let down = to[shared..].iter();
    let down = down.map(|part| part.as_os_str().to_string_lossy().into_owned());
    let steps: Vec<String> = up.chain(down).collect();
    if steps.is_empty() {
        ".".to_string()
    } else {
        steps.join("/")
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn a_link_leads_from_the_page_to_the_charts() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/a", "/a/benches/charts"), "benches/charts");
        assert_eq!(way("/a/docs", "/a/charts"), "../charts");
        assert_eq!(way("/a", "/a"), ".");
    }

    #[test]
    fn what_cannot_be_written_is_told_before_anything_is_measured() {
        let prepare = |svg: Option<&Path>, markdown: Option<&Path>| {
            let args = OutputArgs {
                svg: svg.map(Path::to_path_buf),
                markdown: markdown.map(Path::to_path_buf),
            };
            Output::prepare(&args).map(|_| ())
        };
        let here = env::temp_dir().join(format!("peers-output-{}", process::id()));
        let (charts, page) = (here.join("charts"), here.join("PAGE.md"));
        assert_eq!(prepare(Some(&charts), Some(&page)), Ok(()));
        let found = |directory| fs::read_dir(directory).expect("it was made").count();
        assert_eq!(found(&charts), 0, "looking leaves nothing behind");

        // A directory where the page is to be, and a file where the directory is to be.
        let error = prepare(None, Some(&charts)).expect_err("it is a directory");
        assert!(
            error.contains("--markdown") && error.contains("charts"),
            "{error}"
        );
        fs::write(&page, "as it was").expect("it can be written");
        assert_eq!(prepare(None, Some(&page)), Ok(()));
        let error = prepare(Some(&page), None).expect_err("it is a file");
        assert!(
            error.contains("--svg") && error.contains("PAGE.md"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&page).expect("it is there"), "as it was");
        fs::remove_dir_all(&here).expect("it is there");
    }

    #[test]
    fn a_bare_file_is_in_the_present_directory() {
        assert_eq!(directory(Path::new("PAGE.md")), Path::new("."));
        assert_eq!(directory(Path::new("docs/PAGE.md")), Path::new("docs"));
    }
}

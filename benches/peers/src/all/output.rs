//! Where a report goes: charts and the report itself into a directory, the page into a file.

use std::fs;
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

/// Directories that exist.
#[derive(Debug)]
pub(super) struct Output<'a> {
    args: &'a OutputArgs,
}

impl<'a> Output<'a> {
    /// Makes the directories: who waits for half an hour must not learn only then that they cannot be made.
    pub(super) fn prepare(args: &'a OutputArgs) -> Result<Output<'a>, String> {
        let page = args.markdown.as_deref().map(directory);
        for directory in [args.svg.as_deref(), page].into_iter().flatten() {
            fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
        }
        Ok(Output { args })
    }

    /// Saves the report beside the charts, or beside the page if there are none.
    pub(super) fn save(&self, report: &Report) -> Result<(), String> {
        let path = match (&self.args.svg, &self.args.markdown) {
            (Some(charts), _) => charts.join(REPORT),
            (None, Some(page)) => page.with_extension("json"),
            (None, None) => return Ok(()),
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

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_from_the_page_to_the_charts() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/a", "/a/benches/charts"), "benches/charts");
        assert_eq!(way("/a/docs", "/a/charts"), "../charts");
        assert_eq!(way("/a", "/a"), ".");
    }

    #[test]
    fn a_bare_file_is_in_the_present_directory() {
        assert_eq!(directory(Path::new("PAGE.md")), Path::new("."));
        assert_eq!(directory(Path::new("docs/PAGE.md")), Path::new("docs"));
    }
}

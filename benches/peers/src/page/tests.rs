//! The page of a report that has everything: a bar missed, a failure, a suite that was left out.

use crate::all::report::{Report, Results};
use crate::page::write;
use crate::peers::Peer;

/// As a run saves it, shortened.
const REPORT: &str = include_str!("test_report.json");

fn page(charts: Option<&str>) -> String {
    let report: Report = serde_json::from_str(REPORT).expect("a saved report is one");
    write(&report, charts)
}

fn line_of<'a>(page: &'a str, row: &str) -> &'a str {
    let found = page
        .lines()
        .find(|line| line.starts_with(&format!("| `{row}`")));
    found.unwrap_or_else(|| panic!("no line of {row} in:\n{page}"))
}

#[test]
fn a_row_shows_figures_bars_verdict_p99_and_memory() {
    let page = page(None);
    let line = line_of(&page, "chan1 on 2");
    for part in [
        "540 ns (500 – 600)",
        "tokio 250 ns (240 – 260)",
        "| 2.16 |",
        "| <= 1.00 |",
        "**MISS**",
        "1.20 us (2.40 us)",
        "5.00 MiB (10.0 MiB)",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(line_of(&page, "oneshot on 2").contains("| hit (2 of 3) | 3.05 |"));
    let line = line_of(&page, "echo 64 split");
    assert!(line.contains("CPU us <= 1.10 of epoll: 1.03 hit"), "{line}");
}

#[test]
fn rows_that_are_behind_are_explained_or_say_that_nothing_is_known() {
    let page = page(None);
    let (_, behind) = page.split_once("Where we are behind").expect("a section");
    let text = |row: &str| {
        let (_, after) = behind.split_once(row).expect("the row");
        after.split("**`").next().unwrap_or(after).to_string()
    };
    assert!(text("`chan1 on 2`").contains("crosses processors"));
    assert!(text("`oneshot on 2`").contains("No explanation yet"));
    assert!(!behind.contains("`reply on 2`"), "ours is ahead there");
}

#[test]
fn a_server_that_is_no_peer_can_be_ahead_and_a_yardstick_cannot() {
    let page = page(None);
    let (tables, behind) = page.split_once("Where we are behind").expect("a section");
    let server = "| redis-benchmark SET, 50 connections | redis | 91000 (90000 – 92000) | 300 | 700 | 9.00 | 3.00 MiB |";
    assert!(tables.contains(server), "{tables}");
    assert!(
        behind.contains("ahead: redis 91000 requests/s, ours 81000"),
        "{behind}"
    );
    assert!(!behind.contains("`wrk GET, 64 connections`"), "{behind}");
}

#[test]
fn failures_and_what_was_left_out_are_listed() {
    let page = page(None);
    let (_, failed) = page.split_once("## Failed or left out").expect("a section");
    assert!(
        failed.contains("reply on 2, may: out of memory"),
        "{failed}"
    );
    assert!(failed.contains("go is left out"), "{failed}");
    assert!(
        failed.contains("wrk GET, 64 connections, go: server ended"),
        "{failed}"
    );
    assert!(page.contains("Left out: nothing to do"), "{page}");
}

#[test]
fn a_suite_that_was_not_measured_is_named() {
    let page = page(None);
    let (_, failed) = page.split_once("## Failed or left out").expect("a section");
    assert!(
        failed.contains("`cpu`: not measured in this run"),
        "{failed}"
    );
    assert!(!failed.contains("`io`: not measured"), "{failed}");
}

#[test]
fn a_chart_says_at_which_sizes_who_is_ahead() {
    let mut report: Report = serde_json::from_str(REPORT).expect("a saved report is one");
    let growth = report
        .parts
        .iter_mut()
        .find_map(|part| match &mut part.results {
            Results::Growth(growth) => Some(growth),
            _ => None,
        });
    let chart = &mut growth.expect("there is such a suite").charts[0];
    let mut tokio = chart.lines[0].points.clone();
    for (point, median) in tokio.iter_mut().zip([40.0, 49.0, 30.0]) {
        point.median = median;
    }
    chart.lines[1].peer = Peer::Tokio;
    chart.lines[1].points = tokio;
    let page = write(&report, None);
    let said = "**`growth`: `spawn`** (ahead: tokio at 100, 10000 fibers: 30.0 ns per fiber, ours 60.0 at 10000)";
    assert!(page.contains(said), "{page}");
    assert!(page.contains("| `growth` | 1 |  |  | 1 |"), "{page}");
}

#[test]
fn charts_are_linked_only_if_they_are_drawn() {
    assert!(page(Some("benches/charts")).contains("](benches/charts/sync.svg)"));
    assert!(page(Some("c")).contains("](c/growth-spawn.svg)"));
    assert!(!page(None).contains("!["));
}

#[test]
fn no_table_has_a_line_of_another_width() {
    let page = page(Some("c"));
    let mut width = None;
    for line in page.lines() {
        let bars = line.replace(r"\|", "").matches('|').count();
        match width {
            Some(width) if bars > 0 => assert_eq!(bars, width, "{line}"),
            _ => {}
        }
        width = (bars > 0).then_some(bars);
    }
}

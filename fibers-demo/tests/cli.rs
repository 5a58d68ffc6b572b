//! The program as a whole: what it prints for people and for programs, and how it refuses bad input.

use std::process::{Command, Output};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fibers-demo"))
        .args(arguments)
        .output()
        .expect("the demo starts")
}

/// Runs one part and reads its line of JSON.
fn json(arguments: &[&str]) -> Value {
    let output = demo(&[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("the line is JSON")
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// Runs it with arguments that it must refuse; returns the status and what it said.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = demo(arguments);
    assert!(!output.status.success(), "{arguments:?} was accepted");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn sleepers_report_how_late_each_one_was() {
    let report = json(&["sleepers", "--size", "2k", "--min", "5", "--max", "50"]);
    assert_eq!(report["ok"], true);
    assert_eq!(report["size"], 2_000);
    assert_eq!(report["min_ms"], 5);
    assert_eq!(report["early"], 0);
    assert_eq!(report["late"]["count"], 2_000);
    let shares = ["p50_us", "p99_us", "p999_us", "max_us"].map(|share| {
        report["late"][share]
            .as_f64()
            .unwrap_or_else(|| panic!("no {share}"))
    });
    assert!(shares.is_sorted(), "{shares:?}");
    let histogram = report["histogram"].as_array().expect("buckets");
    assert_eq!(histogram.len(), 9);
    assert_eq!(histogram[8]["below_us"], Value::Null);
    let counted: u64 = histogram
        .iter()
        .map(|bucket| number(&bucket["count"]))
        .sum();
    assert_eq!(counted, 2_000);
    assert!(report["cpu_seconds"].is_f64());
    // Of a crowd none need be, where a loaded machine keeps the workers so late that somebody is always due.
    let alone = || json(&["sleepers", "--size", "1", "--min", "20", "--max", "20"]);
    assert!((0..20).any(|_| number(&alone()["timer_sets"]) > 0));
    assert!(number(&report["rows"][1]["bytes_each"]) > 0);
    let seconds = report["rows"][1]["seconds"].as_f64().expect("seconds");
    assert!(seconds >= 0.005, "{seconds}");
}

#[test]
fn one_sleeper_of_no_length_is_a_crowd_too() {
    let report = json(&["sleepers", "--size", "1", "--min", "0", "--max", "0"]);
    assert_eq!(report["late"]["count"], 1);
}

#[test]
fn sleepers_without_a_terminal_tell_in_plain_lines() {
    // It tells twice a second, and not at the moment when all are asleep where the machine is loaded: then they are to
    // sleep longer.
    let told = ["900", "3000", "9000"].into_iter().find_map(|max| {
        let output = demo(&["sleepers", "--size", "3k", "--min", max, "--max", max]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_told = text.contains("3,000 started, 3,000 pending");
        is_told.then_some((output, text))
    });
    let (output, text) = told.expect("a line that tells of all");
    assert_eq!(text.matches("  late ").count(), 10, "{text}");
    assert!(text.contains("none was early"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn deadlines_account_for_every_client() {
    let report = json(&["deadlines", "--size", "1k", "--quick"]);
    assert_eq!(report["ok"], true);
    let ends = report["ends"].as_object().expect("ends");
    assert_eq!(ends.len(), 5);
    assert_eq!(ends.values().map(number).sum::<u64>(), 1_000);
    assert!(number(&ends["cancelled"]) <= number(&report["asked_to_cancel"]));
    assert!(number(&report["connections_taken"]) > 0);
    assert_eq!(
        report["connections_taken"],
        report["connections_given_back"]
    );
    assert_eq!(report["commits_begun"], report["commits_finished"]);
    for name in ["inner_timeouts", "outer_timeouts"] {
        assert!(report[name]["p50_us"].is_f64(), "{report}");
        assert!(report[name]["p99_us"].is_f64(), "{report}");
    }
    assert!(report["timeout_extra_ns"].is_f64());
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(3));
}

#[test]
fn whoever_has_time_is_answered_at_once() {
    let report = json(&[
        "deadlines",
        "--quick",
        "--size=500",
        "--budget=60k",
        "--patience=60k",
        "--cancel=0",
    ]);
    assert_eq!(report["ends"]["answered_at_once"], 500);
    assert_eq!(report["commits_finished"], 125);
    assert_eq!(report["retries"], 0);
    assert_eq!(report["asked_to_cancel"], 0);
}

#[test]
fn whoever_has_no_time_is_not_answered() {
    let report = json(&["deadlines", "--quick", "--size=500", "--budget=1"]);
    let ends = &report["ends"];
    assert_eq!(ends["answered_at_once"], 0);
    assert_eq!(
        number(&ends["over_budget"]) + number(&ends["cancelled"]),
        500
    );
    assert_eq!(report["outer_timeouts"]["count"], ends["over_budget"]);
}

#[test]
fn whoever_has_no_patience_gives_up_after_the_last_try() {
    let report = json(&[
        "deadlines",
        "--quick",
        "--size=300",
        "--patience=1",
        "--retries=3",
        "--budget=60k",
        "--cancel=0",
    ]);
    // Nearly all do; on a busy computer some answers may come as the clock is looked at.
    let gave_up = number(&report["ends"]["gave_up"]);
    assert!(gave_up > 0);
    assert_eq!(report["ends"]["over_budget"], 0);
    assert_eq!(
        number(&report["retries"]) + gave_up,
        number(&report["inner_timeouts"]["count"])
    );
}

#[test]
fn all_clients_can_be_cancelled() {
    let report = json(&["deadlines", "--quick", "--size=300", "--cancel=100"]);
    assert_eq!(report["asked_to_cancel"], 300);
    assert!(number(&report["ends"]["cancelled"]) > 0);
}

#[test]
fn a_seed_repeats_who_is_cancelled() {
    let asked = |seed: &str| {
        let report = json(&["deadlines", "--quick", "--size=400", "--seed", seed]);
        number(&report["asked_to_cancel"])
    };
    assert_eq!(asked("5"), asked("5"));
}

#[test]
fn philosophers_share_their_forks_by_each_method() {
    let report = json(&["philosophers", "--size=7", "--meals=50"]);
    assert_eq!(report["size"], 7);
    let methods = report["methods"].as_array().expect("methods");
    let names: Vec<&Value> = methods.iter().map(|method| &method["method"]).collect();
    assert_eq!(names, ["ordered", "waiter", "greedy"]);
    for (method, row) in methods.iter().zip(report["rows"].as_array().expect("rows")) {
        assert_eq!(method["fewest"], 50);
        let shares = ["fewest", "median", "most"].map(|share| number(&method[share]));
        assert!(shares.is_sorted(), "{method}");
        assert!(number(&method["meals"]) >= 7 * 50, "{method}");
        assert_eq!(method["meals"], row["operations"]);
        assert!(method["waited_us_max"].is_f64(), "{method}");
    }
    assert_eq!(methods[0]["put_back"], 0);
    assert_eq!(methods[1]["put_back"], 0);
}

#[test]
fn the_smallest_table_and_a_large_one_are_laid() {
    let two = json(&["philosophers", "--size=2", "--meals=1", "--workers=1"]);
    assert_eq!(two["methods"].as_array().map(Vec::len), Some(3));
    let many = ["philosophers", "--size=3k", "--meals=2", "--method=greedy"];
    assert_eq!(json(&many)["methods"][0]["fewest"], 2);
    let slow = [
        "philosophers",
        "--quick",
        "--method=ordered",
        "--meals=3",
        "--eat=2k",
        "--think=1k",
    ];
    // Neighbours do not eat at once, so each fork is busy for the meals of both.
    let report = json(&slow);
    assert!(
        report["rows"][0]["seconds"].as_f64() >= Some(0.012),
        "{report}"
    );
}

#[test]
fn whoever_waits_longer_than_patience_has_starved() {
    let arguments = [
        "philosophers",
        "--size=2",
        "--meals=3",
        "--eat=200k",
        "--patience=5",
    ];
    let (status, said) = refused(&arguments);
    assert_eq!(status, Some(1));
    for part in ["starved", "--patience is 5 ms", "--eat"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn philosophers_without_a_terminal_tell_in_plain_lines() {
    let output = demo(&["philosophers", "--quick"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("fewest meals"), "{text}");
    for method in ["ordered: ", "waiter: ", "greedy: "] {
        assert!(text.contains(method), "{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// The stages of a pipeline's report: all of them passed `messages`.
fn stages(report: &Value, messages: u64) -> Vec<String> {
    let stages = report["stages"].as_array().expect("stages");
    assert!(
        stages.iter().all(|stage| stage["messages"] == messages),
        "{report}"
    );
    let name = |stage: &Value| stage["stage"].as_str().map(str::to_owned);
    stages.iter().filter_map(name).collect()
}

#[test]
fn a_pipeline_loses_nothing_whatever_its_shape() {
    for shape in [
        &["--stages=1", "--lanes=1", "--sources=1"][..],
        &["--stages=3", "--lanes=16", "--sources=100"],
        &["--capacity=0"],
        &["--capacity=1", "--lanes=2", "--workers=1"],
        &["--capacity=1M"],
    ] {
        let report = json(&[&["pipeline", "--size=3k"], shape].concat());
        assert_eq!(report["size"], 3_000);
        assert_eq!(report["overtaken"], 0);
        let names = stages(&report, 3_000);
        assert_eq!(names.first().map(String::as_str), Some("sources"));
        assert_eq!(names.last().map(String::as_str), Some("sink"));
        let stocks = report["stocktakings"].as_array().expect("stocktakings");
        assert_eq!(stocks.len(), 3);
        for stock in stocks {
            assert_eq!(stock["sent"], stock["received"]);
            assert!(number(&stock["sent"]) >= 750, "{stock}");
        }
    }
}

#[test]
fn a_pipeline_has_the_stages_and_the_room_it_was_given() {
    let report = json(&[
        "pipeline",
        "--size=2k",
        "--stages=2",
        "--lanes=5",
        "--sources=4",
        "--capacity=3",
        "--stocktakings=0",
    ]);
    let names = stages(&report, 2_000);
    assert_eq!(
        names,
        ["sources", "parse", "work 1", "work 2", "merge", "sink"]
    );
    let fibers: Vec<u64> = (report["stages"].as_array().expect("stages").iter())
        .map(|stage| number(&stage["fibers"]))
        .collect();
    assert_eq!(fibers, [4, 1, 5, 5, 1, 1]);
    for (stage, room) in [(1, 3), (2, 3), (3, 3), (4, 5 * 3), (5, 3)] {
        assert!(number(&report["stages"][stage]["waiting_max"]) <= room);
    }
    assert_eq!(report["stocktakings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn the_same_messages_have_the_same_sum_in_any_pipeline() {
    let sum = |lanes: &str, capacity: &str| {
        let report = json(&["pipeline", "--size=1001", lanes, capacity]);
        number(&report["sum"])
    };
    assert_eq!(
        sum("--lanes=1", "--capacity=0"),
        sum("--lanes=9", "--capacity=50")
    );
}

#[test]
fn fewer_messages_than_sources_and_stocktakings_are_a_pipeline_too() {
    let report = json(&["pipeline", "--size=1", "--sources=5", "--stocktakings=4"]);
    assert_eq!(stages(&report, 1).len(), 6);
    assert_eq!(report["stocktakings"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_pipeline_without_a_terminal_tells_in_plain_lines() {
    let output = demo(&["pipeline", "--quick"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for part in ["waiting before it", "held back", "stock taken 3 times"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_method_that_nobody_knows_is_refused_with_those_there_are() {
    let (status, said) = refused(&["philosophers", "--method", "polite"]);
    assert_eq!(status, Some(2));
    for part in ["--method", "polite", "ordered", "waiter", "greedy"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn the_bench_counts_what_it_was_asked_for() {
    let report = json(&[
        "bench",
        "echo",
        "--requests=1001",
        "--connections=8",
        "--size=1",
    ]);
    assert_eq!(report["part"], "bench echo");
    assert_eq!(report["latency"]["count"], 1_001);
    assert_eq!(report["rows"][0]["operations"], 1_001);
    assert_eq!(report["connections"], 8);
    assert_eq!(report["own_server"], true);
    let report = json(&["bench", "echo", "--quick", "--connections=3", "--size=64K"]);
    assert!(number(&report["latency"]["count"]) > 0);
    assert!(report["rows"][0]["seconds"].as_f64() >= Some(0.2));
}

#[test]
fn the_servers_check_themselves() {
    let report = json(&["serve", "check", "--quick"]);
    assert_eq!(report["part"], "serve check");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    assert!(
        rows[1..].iter().all(|row| row["operations"] == 1_600),
        "{report}"
    );
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (arguments, range) in [
        (["sleepers", "--size", "0"], "1 to 2000000"),
        (["sleepers", "--size", "3M"], "1 to 2000000"),
        (["sleepers", "--min", "600001"], "0 to 600000"),
        (["sleepers", "--max", "1.5"], "0 to 600000"),
        (["deadlines", "--size", "2M"], "1 to 1000000"),
        (["deadlines", "--budget", "0"], "1 to 60000"),
        (["deadlines", "--patience", "1m5"], "1 to 60000"),
        (["deadlines", "--retries", "11"], "0 to 10"),
        (["deadlines", "--cancel", "101"], "0 to 100"),
        (["deadlines", "--seed", "x"], "0 to 1000000000"),
        (["philosophers", "--size", "1"], "2 to 100000"),
        (["philosophers", "--meals", "0"], "1 to 1000000"),
        (["philosophers", "--eat", "2M"], "0 to 1000000"),
        (["philosophers", "--think", "1s"], "0 to 1000000"),
        (["philosophers", "--patience", "0"], "1 to 600000"),
        (["pipeline", "--size", "0"], "1 to 100000000"),
        (["pipeline", "--sources", "1001"], "1 to 1000"),
        (["pipeline", "--stages", "13"], "1 to 12"),
        (["pipeline", "--lanes", "0"], "1 to 256"),
        (["pipeline", "--capacity", "2M"], "0 to 1000000"),
        (["pipeline", "--stocktakings", "many"], "0 to 1000"),
    ] {
        let (status, said) = refused(&arguments);
        assert_eq!(status, Some(2));
        for part in [arguments[1], arguments[2], range] {
            assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
        }
    }
}

#[test]
fn a_shortest_sleep_above_the_longest_is_refused_with_both_ways_out() {
    let (status, said) = refused(&["sleepers", "--min", "30", "--max", "20"]);
    assert_eq!(status, Some(1));
    for part in [
        "--min 30",
        "--max 20",
        "--min 20 or less",
        "--max 30 or more",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    // The other end may be a default: that is named as well.
    let (_, said) = refused(&["sleepers", "--quick", "--min", "900"]);
    assert!(said.contains("--max 900 or more"), "{said}");
}

#[test]
fn a_refusal_is_json_where_json_was_asked_for() {
    let output = demo(&["sleepers", "--min=2", "--max=1", "--json"]);
    let line: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    assert_eq!(line["ok"], false);
    assert_eq!(line["part"], "sleepers");
    assert!(
        line["error"]
            .as_str()
            .is_some_and(|error| error.contains("--min 2"))
    );
}

#[test]
fn the_help_names_the_parts() {
    let output = demo(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "sleepers",
        "deadlines",
        "philosophers",
        "pipeline",
        "serve",
        "bench",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

//! wrk: its command line, and what it prints.

use std::time::Duration;

use super::rows::{PIPELINED, Tool};
use super::runner::{Latencies, Told};

/// Has wrk send several requests at once.
const PIPELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tools/pipeline.lua");

/// The arguments for so many seconds.
pub(super) fn arguments(port: u16, depth: u64, seconds: u64) -> Vec<String> {
    let connections = Tool::Wrk.connections();
    let mut arguments = vec![
        "--threads=1".to_string(),
        format!("--connections={connections}"),
        format!("--duration={seconds}s"),
        "--latency".to_string(),
    ];
    if depth > 1 {
        arguments.push(format!("--script={PIPELINE}"));
    }
    arguments.push(format!("http://127.0.0.1:{port}/plaintext"));
    if depth > 1 {
        arguments.extend(["--".to_string(), PIPELINED.to_string()]);
    }
    arguments
}

/// Reads the figures. Where several requests are sent at once, the latencies are none: wrk takes a batch's time for
/// answers that it has missed, makes up samples for those, some below the lowest from which it counts, and tells
/// percentiles that are too high, or 0.
///
/// # Errors
///
/// A line, if there are errors among the answers, or if figures are missing.
pub(super) fn parse(text: &str, depth: u64) -> Result<Told, String> {
    let lines = || text.lines().map(str::trim);
    let failed = |line: &&str| line.starts_with("Socket errors") || line.starts_with("Non-2xx");
    if let Some(errors) = lines().find(failed) {
        return Err(errors.to_string());
    }
    let after = |label: &str| {
        let found = lines().find_map(|line| line.strip_prefix(label));
        found
            .map(str::trim)
            .ok_or(format!("wrk tells no {label:?}"))
    };
    let requests = lines().find_map(|line| line.split_once(" requests in "));
    let requests = requests.and_then(|(count, _)| count.parse().ok());
    let per_s = after("Requests/sec:")?;
    let time = |label: &str| {
        let text = after(label)?;
        duration(text).ok_or(format!("not a time of wrk's: {text}"))
    };
    let latencies = Latencies {
        p50: time("50%")?,
        p99: time("99%")?,
    };
    Ok(Told {
        requests: requests.ok_or("wrk tells no number of requests")?,
        requests_per_s: per_s
            .parse()
            .map_err(|_| format!("not a number: {per_s}"))?,
        latencies: (depth == 1).then_some(latencies),
    })
}

/// A time as wrk writes it: `565.00us`, `1.05ms`, `2.01s`, `1.00m`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let count: f64 = digits.parse().ok()?;
    Duration::try_from_secs_f64(count * unit_s).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Running 3s test @ http://127.0.0.1:8080/plaintext
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   593.52us  102.81us   4.29ms   92.69%
    Req/Sec   107.31k     3.01k  111.30k    80.00%
  Latency Distribution
     50%  575.00us
     75%  606.00us
     90%  650.00us
     99%    1.05ms
  331425 requests in 3.00s, 40.14MB read
Requests/sec: 110420.31
Transfer/sec:     13.37MB
";

    #[test]
    fn the_figures_are_found() {
        let told = parse(TEXT, 1).expect("a good run");
        assert_eq!(told.requests, 331_425);
        assert_eq!(told.requests_per_s, 110_420.31);
        let [p50, p99] = [575, 1050].map(Duration::from_micros);
        assert_eq!(told.latencies, Some(Latencies { p50, p99 }));
    }

    #[test]
    fn latencies_of_several_at_once_are_no_figures() {
        let told = parse(&TEXT.replace("575.00us", "0.00us"), PIPELINED).expect("a good run");
        assert_eq!(told.latencies, None);
        assert_eq!(told.requests, 331_425);
    }

    #[test]
    fn answers_that_are_errors_are_no_figures() {
        for errors in [
            "  Non-2xx or 3xx responses: 7",
            "  Socket errors: connect 0, read 3, write 0, timeout 0",
        ] {
            let text = format!("{TEXT}{errors}\n");
            assert_eq!(parse(&text, 1).map(|_| ()), Err(errors.trim().to_string()));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for label in ["Requests/sec:", "99%"] {
            let error = parse(&TEXT.replace(label, "?"), 1).expect_err("a figure is missing");
            assert!(error.contains(label), "{error}");
        }
        assert!(parse("", 1).is_err());
    }

    #[test]
    fn each_unit_of_time_is_known() {
        let times = [("1.00us", 1), ("1.50ms", 1500), ("2.00s", 2_000_000)];
        for (text, micros) in times {
            assert_eq!(
                duration(text),
                Some(Duration::from_micros(micros)),
                "{text}"
            );
        }
        assert_eq!(duration("1.00m"), Some(Duration::from_secs(60)));
        assert_eq!(
            (duration("1.00"), duration("x"), duration("-1s")),
            (None, None, None)
        );
    }
}

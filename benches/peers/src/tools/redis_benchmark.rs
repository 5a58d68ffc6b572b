//! redis-benchmark: its command line, and what it prints.

use std::time::Duration;

use super::rows::{Request, Tool};
use super::runner::{Latencies, Told};

/// The arguments for so many requests.
pub(super) fn arguments(port: u16, request: Request, depth: u64, requests: u64) -> Vec<String> {
    let test = match request {
        Request::Get => "get",
        Request::Set | Request::Page => "set",
    };
    let options = [
        ("-h", "127.0.0.1".to_string()),
        ("-p", port.to_string()),
        ("-c", Tool::RedisBenchmark.connections().to_string()),
        ("-P", depth.to_string()),
        ("-n", requests.to_string()),
        ("-t", test.to_string()),
    ];
    let options = options.into_iter();
    let options = options.flat_map(|(option, value)| [option.to_string(), value]);
    options.chain(["--csv".to_string()]).collect()
}

/// Reads the figures of the one test that was made, of so many requests.
///
/// # Errors
///
/// A line, if figures are missing.
pub(super) fn parse(text: &str, requests: u64) -> Result<Told, String> {
    // Warnings may stand above.
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("\"test\""));
    let missing = || "redis-benchmark tells no percentiles: 6.2 or later is needed".to_string();
    let head: Vec<_> = fields(lines.next().ok_or_else(missing)?).collect();
    let line: Vec<_> = fields(lines.next().ok_or_else(missing)?).collect();
    let figure = |name: &str| -> Result<f64, String> {
        let column = head.iter().position(|&head| head == name);
        let text = column.and_then(|column| line.get(column));
        let text = text.ok_or(format!("redis-benchmark tells no {name}"))?;
        text.parse().map_err(|_| format!("not a number: {text}"))
    };
    let time = |name: &str| {
        let seconds = figure(name)? / 1e3;
        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
    };
    Ok(Told {
        requests,
        requests_per_s: figure("rps")?,
        latencies: Some(Latencies {
            p50: time("p50_latency_ms")?,
            p99: time("p99_latency_ms")?,
        }),
    })
}

/// No field has a comma or a quotation mark inside.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|field| field.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"WARNING: Could not fetch server CONFIG
"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","93457.94","0.307","0.096","0.303","0.391","0.471","1.191"
"#;

    #[test]
    fn the_figures_are_found_by_the_names_of_the_columns() {
        let told = parse(TEXT, 1000).expect("a good run");
        assert_eq!((told.requests, told.requests_per_s), (1000, 93_457.94));
        let [p50, p99] = [303, 471].map(Duration::from_micros);
        assert_eq!(told.latencies, Some(Latencies { p50, p99 }));
    }

    #[test]
    fn what_is_missing_is_named() {
        let old = "\"SET\",\"93457.94\"\n";
        assert!(parse(old, 1).expect_err("no head").contains("6.2"));
        let error = parse(&TEXT.replace("p99", "p98"), 1).expect_err("no p99");
        assert!(error.contains("p99_latency_ms"), "{error}");
        let error = parse(&TEXT.replace("0.303", "nothing"), 1).expect_err("no number");
        assert!(error.contains("nothing"), "{error}");
    }
}

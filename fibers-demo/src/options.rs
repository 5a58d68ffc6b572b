//! The options that all parts share, the check of their bounds, and the machine they ask for.
//!
//! A number out of bounds is refused while the command line is read: clap names the option and the
//! value, `whole` adds the range. No part sees a value outside its bounds.

use std::time::Duration;

use fibers::{Metrics, Runtime};

use crate::memory;
use crate::report::short_bytes;

/// How long a machine may take to end once a part is over.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// A generous guess at one waiting fiber: two pages of stack, its cell, its share of page tables.
const BYTES_EACH_MAX: u64 = 10 * 1024;

/// Options that every part and the tour understand.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Worker threads, 1 to 256 [default: as many as this process may use; priorities: 1]
    #[arg(long, value_name = "N", global = true, value_parser = workers)]
    pub workers: Option<usize>,
    /// Small sizes: each part takes at most about a second
    #[arg(long, global = true)]
    pub quick: bool,
    /// One JSON object per part on stdout, no bars
    #[arg(long, global = true)]
    pub json: bool,
}

impl Common {
    /// The size a part runs with: its option, else the default for this mode.
    pub fn size(&self, given: Option<u64>, full: u64, quick: u64) -> u64 {
        given.unwrap_or(if self.quick { quick } else { full })
    }

    /// Starts the machine of one part. `workers_default` of `None` leaves the count to the library.
    pub fn machine(&self, name: &str, workers_default: Option<usize>) -> Result<Runtime, String> {
        let mut builder = Runtime::builder().name(name);
        if let Some(workers) = self.workers.or(workers_default) {
            builder = builder.workers(workers);
        }
        builder.build().map_err(|error| {
            format!(
                "the machine did not start: {error} (--workers and the FIBERS_* variables decide \
                 what it starts with)"
            )
        })
    }
}

/// Ends a part's machine and checks that all its fibers ended, none by a panic. Returns the final
/// counters: before the machine has stopped they may lag behind a `join`.
pub fn stop(machine: Runtime) -> Result<Metrics, String> {
    let handle = machine.handle();
    machine
        .shutdown(SHUTDOWN_MAX)
        .map_err(|report| report.to_string())?;
    let metrics = handle.metrics();
    if metrics.panicked > 0 {
        return Err(format!(
            "{} fibers panicked, expected none",
            metrics.panicked
        ));
    }
    if metrics.finished != metrics.spawned {
        return Err(format!(
            "{} fibers finished of {}",
            metrics.finished, metrics.spawned
        ));
    }
    Ok(metrics)
}

/// Refuses a crowd of waiting fibers that the memory of this host could not hold.
pub fn fits_in_memory(count: u64) -> Result<(), String> {
    let Some(available) = memory::available_bytes() else {
        return Ok(());
    };
    let needed = count * BYTES_EACH_MAX;
    if needed <= available {
        return Ok(());
    }
    Err(format!(
        "--size {count} may need {}, and {} are available: give --size {} or less",
        short_bytes(needed),
        short_bytes(available),
        available / BYTES_EACH_MAX
    ))
}

fn workers(text: &str) -> Result<usize, String> {
    whole(text, 1, 256).map(|count| count as usize)
}

/// Reads a whole number of the closed range `low..=high`; `1_000`, `10k` and `2M` are numbers too.
pub fn whole(text: &str, low: u64, high: u64) -> Result<u64, String> {
    scaled(text, 1_000)
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("give a whole number from {low} to {high} (20k means 20000)"))
}

/// As `whole`, but here `K` and `M` are KiB and MiB.
pub fn bytes(text: &str, low: u64, high: u64) -> Result<u64, String> {
    scaled(text, 1_024)
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("give bytes from {low} to {high} (64K means 65536)"))
}

fn scaled(text: &str, kilo: u64) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], kilo),
        b'm' | b'M' => (&text[..text.len() - 1], kilo * kilo),
        _ => (text, 1),
    };
    digits
        .replace('_', "")
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::{bytes, whole};

    #[test]
    fn numbers_inside_the_range_are_read() {
        for (text, number) in [
            ("1", 1),
            ("1_000", 1000),
            ("10k", 10_000),
            ("2M", 2_000_000),
        ] {
            assert_eq!(whole(text, 1, 2_000_000), Ok(number));
        }
    }

    #[test]
    fn everything_else_is_refused_with_the_range() {
        for text in [
            "",
            "k",
            "0",
            "-1",
            "1.5",
            "2000001",
            "x",
            "99999999999999M",
            "é",
        ] {
            let error = whole(text, 1, 2_000_000).unwrap_err();
            assert!(error.contains("from 1 to 2000000"), "{error}");
        }
    }

    #[test]
    fn bytes_count_by_1024() {
        assert_eq!(bytes("16k", 16 << 10, 8 << 20), Ok(16_384));
        assert_eq!(bytes("8M", 16 << 10, 8 << 20), Ok(8 << 20));
        assert!(bytes("9M", 16 << 10, 8 << 20).is_err());
    }
}

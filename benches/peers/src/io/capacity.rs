//! How many connections this machine allows: a descriptor for each on both sides, and a port.

use std::fs;
use std::io;
use std::ops::RangeInclusive;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a process that are no connections: standard streams, epolls, the listener.
const OTHER_DESCRIPTORS: u64 = 100;

/// Ports that others may use, this process's listener among them.
const OTHER_PORTS: u64 = 1_000;

/// What Linux has unless told otherwise.
const PORTS: RangeInclusive<u64> = 32_768..=60_999;

/// Lets this process have as many descriptors as the system allows it.
pub(super) fn raise_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// The sizes that this machine can do. One that is too large is lowered to what it can, and a note
/// says so.
pub(crate) fn fitting(sizes: &[u64], notes: &mut Vec<String>) -> Vec<u64> {
    let (most, limit) = most(descriptors(), &ports());
    let fitting = fit(sizes, most);
    if fitting != sizes {
        notes.push(format!(
            "no more than {most} connections: that is what {limit} allows"
        ));
    }
    fitting
}

fn fit(sizes: &[u64], most: u64) -> Vec<u64> {
    let mut fitting: Vec<u64> = sizes.iter().map(|&size| size.min(most)).collect();
    fitting.dedup();
    fitting.retain(|&size| size > 0);
    fitting
}

/// The most connections, and what limits them.
fn most(descriptors: u64, ports: &RangeInclusive<u64>) -> (u64, &'static str) {
    let by_descriptors = descriptors.saturating_sub(OTHER_DESCRIPTORS);
    let by_ports = (ports.end() + 1)
        .saturating_sub(*ports.start())
        .saturating_sub(OTHER_PORTS);
    if by_descriptors <= by_ports {
        (by_descriptors, "the hard limit of open files")
    } else {
        (by_ports, "the range of local ports")
    }
}

fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// The ports that the kernel chooses from for a connect.
fn ports() -> RangeInclusive<u64> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().map(str::parse);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) => first..=last,
        _ => PORTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scarcer_limits_the_connections() {
        let (descriptors, _) = most(20_000, &PORTS);
        assert_eq!(descriptors, 19_900);
        assert_eq!(
            most(1_000_000, &PORTS),
            (27_232, "the range of local ports")
        );
        assert_eq!(most(50, &PORTS).0, 0);
    }

    #[test]
    fn what_does_not_fit_becomes_one_size_that_does() {
        let sizes = [10, 1_000, 10_000, 19_000];
        assert_eq!(fit(&sizes, 19_000), sizes);
        assert_eq!(fit(&sizes, 3_996), [10, 1_000, 3_996]);
        assert_eq!(fit(&sizes, 1_000), [10, 1_000]);
        assert!(fit(&sizes, 0).is_empty());
    }

    #[test]
    fn a_process_gets_all_the_descriptors_that_it_may_have() {
        raise_descriptors().expect("up to the hard limit is allowed");
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}

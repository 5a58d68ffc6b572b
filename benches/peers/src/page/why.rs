//! What is known about rows in which a bar is missed or a peer is ahead.
//!
//! By suite and row; a row's workload alone stands for all its rows.

use crate::all::report::Part;

/// Shown where nothing is known.
pub(super) const NONE: &str = "**No explanation yet.**";

/// The texts, as Markdown.
const WHY: &[(Part, &str, &str)] = &[
    (
        Part::Cpu,
        "parked_memory",
        "A started fiber has a stack, and a stack has at least its one page of 4 KiB. A task of tokio has no stack: it \
         keeps what it needs later, and nothing else. Go's stacks begin with half a page. Fibers that were spawned but \
         have not started have no stack either.",
    ),
    (
        Part::Cpu,
        "yield2",
        "Fibers start where they were spawned before the other worker has stolen many of them, and then stay: a started \
         fiber does not change threads behind a safe `spawn`, which would be unsound in Rust. So one of the \
         two workers has more of them to the end.",
    ),
    (
        Part::Sync,
        "chan1 on 2",
        "Two fibers on two workers: each message crosses processors, which is 0.5 to 1 us for a round trip, where on one \
         worker it is 50 ns. Started fibers do not move together; the peers move the second task to the first one's thread.",
    ),
    (
        Part::Sync,
        "mutex1",
        "A mutex without waiters looks at the panic count twice, to know whether it is poisoned, as std's does. \
         parking_lot's has no poisoning.",
    ),
    (
        Part::Io,
        "echo 64 both",
        "Connections stay with the worker that first ran them, and whoever looks at epoll hands the other's events on, \
         one message each. Taking a batch's messages together, or an epoll instance for each worker, is to be tried.",
    ),
];

/// What is known about a row.
pub(super) fn why(part: Part, row: &str) -> Option<&'static str> {
    let workload = row.split(' ').next().unwrap_or(row);
    [row, workload].into_iter().find_map(|key| {
        let known = WHY.iter().find(|(of, name, _)| *of == part && *name == key);
        known.map(|(_, _, text)| *text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_own_text_or_that_of_its_workload() {
        let text = |part, row| why(part, row).unwrap_or(NONE);
        assert!(text(Part::Sync, "chan1 on 2").contains("crosses processors"));
        assert_eq!(text(Part::Sync, "chan1 on 1"), NONE);
        assert!(text(Part::Cpu, "parked_memory on 2").contains("one page"));
        assert_eq!(text(Part::Cpu, "chan1 on 2"), NONE);
    }

    #[test]
    fn every_text_is_of_a_row_that_there_is_and_none_is_of_two() {
        let mut names: Vec<(Part, String)> = Vec::new();
        for (part, suite) in [
            (Part::Cpu, crate::workloads::Suite::Cpu),
            (Part::Time, crate::workloads::Suite::Time),
            (Part::Sync, crate::workloads::Suite::Sync),
        ] {
            for row in crate::workloads::rows(suite, 2, true) {
                let workload = row.workload.name();
                names.push((part, format!("{workload} on {}", row.workers)));
                names.push((part, workload));
            }
        }
        for row in crate::io::rows::rows() {
            names.push((Part::Io, row.to_string()));
            names.push((Part::Io, row.workload.name()));
        }
        for (index, (part, name, _)) in WHY.iter().enumerate() {
            assert!(
                names.contains(&(*part, name.to_string())),
                "{name} is no row"
            );
            let again = WHY[..index]
                .iter()
                .any(|(of, other, _)| of == part && other == name);
            assert!(!again, "{name} has two texts");
        }
    }
}

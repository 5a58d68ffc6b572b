//! What grows, how far, and whose lines are drawn. Data, no measuring.

use clap::ValueEnum;

use crate::peers::Peer::{self, Epoll, Go, May, Ours, Tokio};
use crate::workloads::{Job, Workload};

const FIBERS: &[Peer] = &[Ours, Tokio, May, Go];

/// may has no timeout around a computation.
const WITH_TIMEOUTS: &[Peer] = &[Ours, Tokio, Go];

const SERVERS: &[Peer] = &[Epoll, Ours, Tokio, May, Go];

/// What grows. Each is measured once for all its charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Tasks that are spawned and joined.
    Spawn,
    /// Tasks that are woken.
    Wake,
    /// Timeouts that are pending.
    Timers,
    /// Tasks that are parked, and what they weigh.
    Memory,
    /// Connections.
    Sockets,
    /// Workers, beyond the number of cores.
    Workers,
    /// Levels of priority in use.
    Priorities,
}

/// All subjects, in the order of the report.
pub(super) const SUBJECTS: [Subject; 7] = [
    Subject::Spawn,
    Subject::Wake,
    Subject::Timers,
    Subject::Memory,
    Subject::Sockets,
    Subject::Workers,
    Subject::Priorities,
];

/// The words of a chart.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    pub(super) says: &'static str,
}

impl Subject {
    /// The name on the command line.
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value().expect("no subject is skipped");
        value.get_name().to_string()
    }

    /// Who takes part, in the order of a round.
    pub(super) fn peers(self) -> &'static [Peer] {
        match self {
            Subject::Spawn | Subject::Wake | Subject::Memory | Subject::Workers => FIBERS,
            Subject::Timers => WITH_TIMEOUTS,
            Subject::Sockets => SERVERS,
            Subject::Priorities => &[Ours],
        }
    }

    /// How much there is, from little to much.
    pub(super) fn sizes(self, quick: bool) -> &'static [u64] {
        match (self, quick) {
            (Subject::Spawn | Subject::Wake | Subject::Timers | Subject::Memory, false) => {
                &[100, 1_000, 10_000, 100_000, 1_000_000]
            }
            (Subject::Spawn | Subject::Wake | Subject::Timers | Subject::Memory, true) => {
                &[100, 2_000]
            }
            (Subject::Sockets, false) => &[1, 10, 100, 1_000, 10_000, 19_000],
            (Subject::Sockets, true) => &[1, 100],
            (Subject::Workers, false) => &[1, 2, 4, 8, 16, 32, 64],
            (Subject::Workers, true) => &[1, 16],
            (Subject::Priorities, false) => &[1, 2, 3, 4, 5, 6, 7, 8],
            (Subject::Priorities, true) => &[1, 8],
        }
    }

    /// What a child does for one figure; sockets are the io suite's.
    pub(super) fn job(self, size: u64, quick: bool) -> Option<Job> {
        let (workload, workers, size) = match self {
            Subject::Spawn => (Workload::GrowSpawn, 2, size),
            Subject::Wake => (Workload::GrowWake, 2, size),
            // One worker, so that all that is pending is pending there.
            Subject::Timers => (Workload::GrowTimers, 1, size),
            Subject::Memory => (Workload::ParkedMemory, 2, size),
            Subject::Sockets => return None,
            Subject::Workers => {
                let operations = if quick { 64_000 } else { 1_280_000 };
                (Workload::GrowWorkers, size as usize, operations)
            }
            Subject::Priorities => (Workload::GrowPriorities, 1, size),
        };
        Some(Job {
            workload,
            workers,
            size,
        })
    }

    /// Its charts: one for each figure of a measurement.
    pub(super) fn charts(self) -> &'static [Words] {
        match self {
            Subject::Spawn => &[Words {
                name: "spawn",
                title: "Spawn and join",
                x: "tasks",
                y: "ns per task",
                says: "One task on two workers spawns so many that do nothing, and then joins them all.",
            }],
            Subject::Wake => &[Words {
                name: "wake",
                title: "Wake all",
                x: "parked tasks",
                y: "ns per wake",
                says: "So many tasks are parked on two workers; one task wakes each of them, they report, \
                       and the last report wakes it. By unpark, by a Notify of each task's own in tokio, by a \
                       channel of each one's own in Go.",
            }],
            Subject::Timers => &[Words {
                name: "timers",
                title: "One more timeout",
                x: "pending timeouts",
                y: "ns per timeout",
                says: "So many tasks wait under a timeout of a minute on one worker, while another one there \
                       puts a yield under such a timeout, again and again. The figure is what that adds to \
                       a yield: to arm a timeout and to take it back.",
            }],
            Subject::Memory => &[Words {
                name: "memory",
                title: "Memory of parked tasks",
                x: "parked tasks",
                y: "bytes per task",
                says: "By how much VmRSS and VmPTE grow while so many tasks are spawned and park, divided by \
                       their number. With few of them it is mostly what the runtime takes once, or in \
                       large pieces.",
            }],
            Subject::Sockets => &[
                Words {
                    name: "sockets",
                    title: "Echo over many connections: CPU",
                    x: "connections",
                    y: "CPU us per request",
                    says: "64 bytes go there and back on each connection, again and again; the server has one \
                           worker and one core, the load the other core. CPU time of the server, user and \
                           system.",
                },
                Words {
                    name: "sockets-p99",
                    title: "Echo over many connections: p99",
                    x: "connections",
                    y: "p99 us",
                    says: "The same measurement: the time that 99 of 100 requests do not exceed. The load \
                           waits for each answer before it asks again, so that with more connections each \
                           waits for more others.",
                },
            ],
            Subject::Workers => &[Words {
                name: "workers",
                title: "More workers than cores",
                x: "workers",
                y: "ns per operation",
                says: "64 pairs of tasks; in each round of a pair both yield and send the other a message, \
                       over channels of capacity one, and one of them spawns a task and joins it. Each of \
                       these five is an operation.",
            }],
            Subject::Priorities => &[Words {
                name: "priorities",
                title: "Levels of priority",
                x: "levels",
                y: "ns per yield",
                says: "200 fibers on one worker, spread over so many levels, yield 20,000 times each. The \
                       child fails if one of them is done before the lowest level has got its turn.",
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sizes_grow_and_every_subject_but_sockets_has_a_job() {
        for subject in SUBJECTS {
            for quick in [false, true] {
                let sizes = subject.sizes(quick);
                assert!(sizes.is_sorted_by(|a, b| a < b), "{subject:?}");
                let jobs = sizes.iter().all(|&size| subject.job(size, quick).is_some());
                assert_eq!(jobs, subject != Subject::Sockets, "{subject:?}");
            }
        }
    }

    #[test]
    fn charts_have_names_of_their_own() {
        let charts = SUBJECTS.iter().flat_map(|subject| subject.charts());
        let names: Vec<_> = charts.map(|words| words.name).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}

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
    (Part::Sync, "mpsc", UNBOUNDED),
    (Part::Sync, "mpmc", UNBOUNDED),
    (Part::Sync, "mutex8", SPREAD),
    (Part::Sync, "mutex64", SPREAD),
    (Part::Sync, "mutex8-long", SPREAD),
    (Part::Sync, "mutex64-long", SPREAD),
    (Part::Sync, "semaphore", SPREAD),
    (
        Part::Time,
        "sleepers",
        "A fiber that sleeps has a stack: the kernel clears its first page, and makes the page table for it, when it is touched \
         for the first time. That is most of the system time, of \
         which tokio has a seventh: its task is a cell of some hundred bytes. Another part is the guard below each stack, one \
         call each, without which an overflow would be no error but a corruption. `sleepers-again` shows the rest.",
    ),
    (
        Part::Time,
        "sleepers-again",
        "The stacks are warm, but a million of them are 4 GB: each sleeper's start, sleep, waking and end touch its header, the \
         head of its stack, its frames and its entry among the deadlines, none of which lies in any cache. What can be \
         fetched ahead is. tokio's million tasks are a tenth of that.",
    ),
    (
        Part::Time,
        "intervals",
        "The bar is met where timers are armed and wake nobody (`deadlines`). Here each tick wakes a fiber: a switch to a stack \
         that has cooled down, and a worker that gets up for it. It is as dear as tokio's, which wakes at most a thousand times \
         a second, not a third of it.",
    ),
    (
        Part::Time,
        "late",
        "The figure is the p99; in the median fibers wake earlier than anybody's. Where deadlines are dense a worker \
         pauses between two wake-ups, so that several share one; may's one timer thread gets up for each.",
    ),
    (
        Part::Io,
        "echo 1 split",
        "One connection is mostly sleeping and waking a core, which the virtual machine makes dear, and differently in each \
         round: all servers answer as fast, and which of them takes the least CPU differs from run to run.",
    ),
    (
        Part::Io,
        "echo 1000 split",
        "A thousand stacks lie in no cache; what a look brings is fetched ahead, 32 at a time.",
    ),
    (
        Part::Io,
        "echo 1 both",
        "An idle worker looks for work for some microseconds before it sleeps, and the other end's answer mostly comes in that time: \
         so a round trip takes 35 us in place of 57, and the looking is CPU time.",
    ),
    (Part::Io, "echo 64 both", BOTH),
    (Part::Io, "echo 1000 both", BOTH),
    (Part::Io, "http 64 both", BOTH),
    (Part::Io, "http16 64 both", BOTH),
    (
        Part::Io,
        "churn",
        "Each connection here is a fiber that starts and ends, a socket that is registered and taken out again, and the record for \
         it: some 4 us beside the kernel's own twenty. Go answers more of them a second, \
         at the price of a quarter more CPU.",
    ),
    (
        Part::Io,
        "churn 8 both",
        "Each connection here is a fiber that starts and ends, a socket that is registered and taken out again, and the record for \
         it: some 4 us beside the kernel's own twenty.",
    ),
    (Part::Io, "echo", NOISE),
    (Part::Io, "http", NOISE),
    (
        Part::Io,
        "http16",
        "What raw epoll takes without any runtime is nearly all of a request. What is left is a switch to the connection's own \
         stack and back, once for sixteen requests, and what the worker does around it: some 0.02 us for each of them.",
    ),
    (
        Part::Growth,
        "memory",
        "A started fiber has a stack: see `parked_memory`.",
    ),
    (
        Part::Growth,
        "sockets-p99",
        "The load asks again as soon as it is answered, so with very many connections this is how long a round over all of them \
         takes: ours is within an eighth of raw epoll's. At 19,000 may's and Go's take a quarter less than raw epoll's, in each round. Why \
         is not known; as raw epoll has neither stacks nor a scheduler, it is not those.",
    ),
    (
        Part::Growth,
        "workers",
        "With many more threads than cores it is the kernel that decides which pairs may talk: two that were stolen apart wait for \
         each other's threads, and started fibers do not move together. From 32 workers on the rounds of each runtime differ twofold.",
    ),
    (
        Part::Growth,
        "sockets",
        "With one connection it is sleeping and waking a core: see `echo 1 split`. From a thousand on the connections' stacks lie in \
         no cache; a task of tokio is some hundred bytes.",
    ),
    (
        Part::Tools,
        "wrk",
        "wrk's one core is the limit: four of the five runtimes answer as many requests, within a hundredth. For each of them our server \
         takes less CPU time than all but raw epoll's.",
    ),
    (
        Part::Tools,
        "redis-benchmark",
        "redis-benchmark is the limit, not the servers: ours takes less CPU time for a command, and its 99th percentile is lower.",
    ),
];

/// Of unbounded channels.
const UNBOUNDED: &str = "Each operation takes the channel's one latch, for a few instructions; crossbeam's unbounded channel is a \
    list of blocks whose places senders and receivers take by an exchange each, without meeting. A latch is what selections, \
    cancellation and messages that go straight to a receiver stand on.";

/// Of what is contended.
const SPREAD: &str = "Who takes a contended lock next, somebody on the same core or on the other one, differs from run to run, by \
    more than the best differ from each other.";

/// Of servers with two workers.
const BOTH: &str = "Server and load share both cores, and connections stay with the worker that they were given to. A worker whose \
    core the load has just taken keeps its connections waiting, and then finds many at once; tokio's other worker takes them \
    over. Moving started fibers would be unsound behind a safe `spawn`. Rounds differ by a fifth, with whoever shares a core \
    with whom.";

/// Of servers with one worker.
const NOISE: &str = "What raw epoll takes without any runtime is nearly all of a request. What is left, a switch to the \
    connection's own stack and back, is some 0.1 us, about as much as the rounds differ by.";

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
    use crate::tools::rows::Tool;

    #[test]
    fn a_row_has_its_own_text_or_that_of_its_workload() {
        let text = |part, row| why(part, row).unwrap_or(NONE);
        assert!(text(Part::Sync, "mutex1 on 2").contains("panic count"));
        assert_eq!(text(Part::Sync, "chan1 on 1"), NONE);
        assert_eq!(text(Part::Io, "echo 64 both"), BOTH);
        assert_eq!(text(Part::Io, "echo 64 split"), NOISE);
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
        for name in crate::growth::chart_names() {
            names.push((Part::Growth, name.to_string()));
        }
        for tool in [Tool::Wrk, Tool::RedisBenchmark] {
            names.push((Part::Tools, tool.name().to_string()));
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

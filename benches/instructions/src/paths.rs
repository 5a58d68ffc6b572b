//! The hot paths: their names, and what one operation is.
//!
//! Each runs inside a fiber of a machine with one worker, as a loop over the public API, and fails if something was
//! lost. Nothing in it may depend on time: no path lets the worker run dry and spin, and sizes are such that what happens
//! every so many picks is averaged out.

mod channel;
mod net;
mod sched;
mod sync;
mod time;

use std::time::Duration;

use fibers::{JoinHandle, Runtime};

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Path {
    pub name: &'static str,
    /// How many operations the shorter of its two runs does.
    pub operations: u64,
    /// Does so many.
    work: fn(u64),
}

const fn path(name: &'static str, operations: u64, work: fn(u64)) -> Path {
    Path {
        name,
        operations,
        work,
    }
}

/// All of them, in the order of the table.
pub(crate) const PATHS: &[Path] = &[
    path("yield", 50_000, sched::yields),
    path("ping_pong", 20_000, sched::ping_pong),
    path("spawn_join", 20_000, sched::spawn_join),
    path("spawn_many", 20_000, sched::spawn_many),
    path("join", 20_000, sched::fork_join),
    path("wake_from_thread", 20_000, sched::wake_from_thread),
    path("call", 5_000, sched::call),
    path("fiber_local", 50_000, sched::fiber_local),
    path("channel_send_receive", 20_000, channel::send_receive),
    path("channel_ping_pong", 5_000, channel::ping_pong),
    path("oneshot", 10_000, channel::oneshot),
    path("select8", 5_000, channel::select8),
    path("mutex", 50_000, sync::mutex),
    path("rwlock_read", 50_000, sync::rwlock_read),
    path("condvar", 10_000, sync::condvar),
    path("semaphore", 50_000, sync::semaphore),
    path("timeout", 50_000, time::timeout),
    path("timeout_yield", 20_000, time::timeout_yield),
    path("park_timeout", 10_000, time::park_timeout),
    path("sleep_cancel", 1_000, time::sleep_cancel),
    path("socket_echo", 5_000, net::echo),
    path("socket_wait", 2_000, net::wait),
];

/// The path of that name.
///
/// # Errors
/// There is none; the error names all.
pub(crate) fn find(name: &str) -> Result<&'static Path, String> {
    PATHS.iter().find(|path| path.name == name).ok_or_else(|| {
        let names: Vec<_> = PATHS.iter().map(|path| path.name).collect();
        format!("no path {name}; there are {}", names.join(", "))
    })
}

impl Path {
    /// Does so many operations.
    pub(crate) fn run(&self, operations: u64) {
        let runtime = Runtime::builder()
            .workers(1)
            // How long a dry worker spins is time, and its choices are drawn from the time.
            .spin(Duration::ZERO)
            .seed(1)
            .build()
            .expect("one worker starts");
        let work = self.work;
        runtime.run(move || work(operations));
    }
}

/// The result of a fiber that does not panic.
fn end<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("no path panics")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::{PATHS, find};

    /// After this a path has lost a wake, and would never end.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn every_path_does_what_it_says() {
        for path in PATHS {
            let (done, ends) = mpsc::channel();
            thread::spawn(move || {
                path.run(1_000);
                done.send(()).expect("somebody waits for the end");
            });
            let end = ends.recv_timeout(PATIENCE);
            assert_eq!(end, Ok(()), "{} does not end, or panicked", path.name);
        }
    }

    #[test]
    fn an_unknown_path_is_refused_with_the_names_of_all() {
        assert!(find("yields").unwrap_err().contains("spawn_join"));
        assert_eq!(find("yield").unwrap().name, "yield");
    }
}

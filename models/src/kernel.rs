//! Stands for the kernel where the library waits for descriptors, with the faces of `src/os/poll.rs`.
//!
//! A descriptor is the reading end of a pipe; a bell is one, too. What an epoll instance watches with edges it reports
//! once for each arrival, and once when it is registered, if there is something by then; but never what is drained when
//! it would be reported. A bell it reports until that is silenced. Who blocks in an instance is shown whatever comes.
//!
//! Each call is one step, and all steps are in one order: who makes a call knows what was done before an earlier one.
//! What is ordered by words alone is looked at in the models of those.

use crate::primitive::{AtomicU32, Ordering};
use loom::thread::{self, Thread};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

loom::lazy_static! {
    /// Counts calls: loom changes threads before an access of its own, and looks at the order of those only.
    static ref STEPS: AtomicU32 = AtomicU32::new(0);
}

thread_local! {
    // Loom runs all its threads on one.
    static KERNEL: RefCell<Kernel> = RefCell::default();
}

#[derive(Default)]
struct Kernel {
    /// How much there is to read in each.
    pipes: Vec<u32>,
    instances: Vec<Instance>,
}

#[derive(Default)]
struct Instance {
    watches: Vec<Watch>,
    sleepers: Vec<Thread>,
}

struct Watch {
    fd: RawFd,
    token: u64,
    edges: bool,
    has_news: bool,
}

/// Descriptors that the test's own process has open are none of these.
const FIRST: RawFd = 1 << 20;

impl Kernel {
    fn pipe(&mut self, fd: RawFd) -> &mut u32 {
        &mut self.pipes[(fd - FIRST) as usize]
    }

    fn open(&mut self) -> RawFd {
        self.pipes.push(0);
        FIRST + (self.pipes.len() - 1) as RawFd
    }

    /// Something has come for that descriptor: who is to look.
    fn arrive(&mut self, fd: RawFd) -> Vec<Thread> {
        *self.pipe(fd) += 1;
        let mut roused = Vec::new();
        for instance in &mut self.instances {
            for watch in instance.watches.iter_mut().filter(|watch| watch.fd == fd) {
                watch.has_news = true;
                roused.append(&mut instance.sleepers);
            }
        }
        roused
    }

    fn is_ready(&self, instance: usize) -> bool {
        let watches = &self.instances[instance].watches;
        watches.iter().any(|watch| self.reports(watch))
    }

    fn reports(&self, watch: &Watch) -> bool {
        self.pipes[(watch.fd - FIRST) as usize] > 0 && (watch.has_news || !watch.edges)
    }

    fn take_events(&mut self, instance: usize) -> Vec<Event> {
        let watches = &self.instances[instance].watches;
        let events = watches.iter().filter(|watch| self.reports(watch));
        let events = events.map(|watch| Event(watch.token)).collect();
        for watch in &mut self.instances[instance].watches {
            watch.has_news = false;
        }
        events
    }

    fn watch(&mut self, instance: usize, fd: RawFd, token: u64, edges: bool) -> Vec<Thread> {
        let has_news = *self.pipe(fd) > 0;
        let instance = &mut self.instances[instance];
        let there = instance.watches.iter().any(|watch| watch.fd == fd);
        assert!(!there, "registered twice");
        instance.watches.push(Watch {
            fd,
            token,
            edges,
            has_news,
        });
        if has_news {
            std::mem::take(&mut instance.sleepers)
        } else {
            Vec::new()
        }
    }
}

/// Begins a run.
pub(crate) fn begin() {
    KERNEL.with(|kernel| kernel.take());
}

/// One call.
fn call<R>(f: impl FnOnce(&mut Kernel) -> R) -> R {
    STEPS.fetch_add(1, Ordering::AcqRel);
    KERNEL.with(|kernel| f(&mut kernel.borrow_mut()))
}

fn rouse(sleepers: Vec<Thread>) {
    sleepers.iter().for_each(Thread::unpark);
}

/// Blocks the calling thread until `f` finds something, or with no time at all: looks once.
fn block<R>(
    instances: &[usize],
    timeout_ns: Option<u64>,
    mut f: impl FnMut(&mut Kernel) -> Option<R>,
) -> Option<R> {
    assert!(
        matches!(timeout_ns, None | Some(0)),
        "no model sleeps for a time"
    );
    let me = thread::current();
    loop {
        let found = call(|kernel| {
            let found = f(kernel);
            for index in instances {
                let sleepers = &mut kernel.instances[*index].sleepers;
                sleepers.retain(|sleeper| sleeper.id() != me.id());
                if found.is_none() && timeout_ns.is_none() {
                    sleepers.push(me.clone());
                }
            }
            found
        });
        if found.is_some() || timeout_ns.is_some() {
            return found;
        }
        thread::park();
    }
}

/// What comes for it, `arrive` brings.
pub(crate) fn descriptor() -> BorrowedFd<'static> {
    let fd = call(Kernel::open);
    // SAFETY: a number for the models' own use, of which no system call is made.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// A byte comes for that descriptor.
pub(crate) fn arrive(fd: BorrowedFd<'_>) {
    rouse(call(|kernel| kernel.arrive(fd.as_raw_fd())));
}

/// Reads one byte.
pub(crate) fn read_one(fd: BorrowedFd<'_>) -> io::Result<()> {
    call(|kernel| {
        let pipe = kernel.pipe(fd.as_raw_fd());
        let left = pipe.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
        *pipe = left;
        Ok(())
    })
}

/// How many instances watch it.
pub(crate) fn watches(fd: BorrowedFd<'_>) -> usize {
    call(|kernel| {
        let all = kernel.instances.iter().flat_map(|one| &one.watches);
        all.filter(|watch| watch.fd == fd.as_raw_fd()).count()
    })
}

#[derive(Debug)]
pub(crate) struct Event(u64);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub readable: bool,
    pub writable: bool,
    pub read_closed: bool,
    pub write_closed: bool,
    pub urgent: bool,
}

pub(crate) fn edge(event: &Event) -> (u64, Edge) {
    let edge = Edge {
        readable: true,
        writable: false,
        read_closed: false,
        write_closed: false,
        urgent: false,
    };
    (event.0, edge)
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Poll(usize);

impl Poll {
    #[expect(clippy::unnecessary_wraps, reason = "as the library's")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(call(|kernel| {
            kernel.instances.push(Instance::default());
            kernel.instances.len() - 1
        })))
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the library's")]
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        rouse(call(|kernel| {
            kernel.watch(self.0, fd.as_raw_fd(), token, true)
        }));
        Ok(())
    }

    pub(crate) fn forget(&self, fd: BorrowedFd<'_>) {
        call(|kernel| {
            let watches = &mut kernel.instances[self.0].watches;
            let before = watches.len();
            watches.retain(|watch| watch.fd != fd.as_raw_fd());
            assert_eq!(watches.len() + 1, before, "taken out where it was not");
        });
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the library's")]
    pub(crate) fn watch_timer(&self, _: &Timer, _: u64) -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the library's")]
    pub(crate) fn watch_bell(&self, bell: &Bell, token: u64) -> io::Result<()> {
        rouse(call(|kernel| kernel.watch(self.0, bell.0, token, false)));
        Ok(())
    }

    pub(crate) fn which(polls: [&Self; 2], timeout_ns: Option<u64>) -> Option<[bool; 2]> {
        let instances = polls.map(|poll| poll.0);
        let found = block(&instances, timeout_ns, |kernel| {
            let ready = instances.map(|instance| kernel.is_ready(instance));
            ready.contains(&true).then_some(ready)
        });
        Some(found.unwrap_or_default())
    }

    pub(crate) fn wait(&self, events: &mut Vec<Event>, timeout_ns: Option<u64>) {
        let found = block(&[self.0], timeout_ns, |kernel| {
            let events = kernel.take_events(self.0);
            (!events.is_empty()).then_some(events)
        });
        *events = found.unwrap_or_default();
    }
}

/// No model sleeps for a time.
#[derive(Debug)]
pub(crate) struct Timer;

impl Timer {
    #[expect(clippy::unnecessary_wraps, reason = "as the library's")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn set(&self, at_ns: Option<u64>) {
        assert_eq!(at_ns, None, "no model sleeps for a time");
    }
}

#[derive(Debug)]
pub(crate) struct Bell(RawFd);

impl Bell {
    #[expect(clippy::unnecessary_wraps, reason = "as the library's")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(call(Kernel::open)))
    }

    pub(crate) fn ring(&self) {
        rouse(call(|kernel| kernel.arrive(self.0)));
    }

    pub(crate) fn silence(&self) {
        call(|kernel| *kernel.pipe(self.0) = 0);
    }
}

pub(crate) fn block_on(_: impl AsFd, _: bool, _: Option<u64>) -> bool {
    unreachable!("no model blocks a thread in a fiber's place")
}

//! The offload threads: one pool for the process.
//!
//! Not one per machine: what limits threads (memory, the cgroup's `pids.max`) is the process's, the idle threads of
//! one machine serve another, and the end of a machine has nothing to wait for but its own fibers, as always. A
//! thread is started when a job finds nobody idle, up to a limit; it ends when it has been idle for a while.
//! At the process's exit they are left where they are, as std's threads are.
//!
//! Who may use it: fibers, through `blocking`. A child of `fork` has neither its parent's machines nor its pool.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::blocking::jobs::{ASLEEP, Job, Jobs, Offered, Seat};
use crate::current::on_worker_stack;
use crate::fiber::cell::AbortOnUnwind;
use crate::fiber::current;
use crate::machine::offload::Limits;
use crate::os;
use crate::os::futex::{self, Waited};

/// Exactly what Linux keeps of a thread's name.
const NAME: &str = "fibers-blocking";
/// How long a thread that has become idle looks for its next job before it sleeps. A fiber that makes one short
/// call after the other needs no system call then.
const SPIN_NS: u64 = 5_000;

struct Pool {
    /// Which process has its threads (`os/fork.rs`).
    process: u32,
    jobs: Jobs,
    idle_ns: u64,
    spin_ns: u64,
}

/// The process's pool. A forked child has none of its parent's threads, and makes its own.
fn pool() -> &'static Pool {
    static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());
    // Acquire: pairs with the exchange below.
    let known = POOL.load(Ordering::Acquire);
    // SAFETY: null, or leaked by `make_pool`.
    match unsafe { known.as_ref() } {
        Some(pool) if pool.process == os::fork::generation() => pool,
        _ => make_pool(&POOL, known),
    }
}

#[cold]
fn make_pool(place: &AtomicPtr<Pool>, old: *mut Pool) -> &'static Pool {
    // Checked when the caller's machine was built; who has changed the variable since gets the defaults.
    let limits = Limits::from(&|name| std::env::var(name).ok()).unwrap_or_default();
    let cpus = os::thread::available_parallelism();
    let made = Box::into_raw(Box::new(Pool {
        process: os::fork::generation(),
        jobs: Jobs::new(limits.threads_max),
        idle_ns: u64::try_from(limits.idle.as_nanos()).unwrap_or(u64::MAX),
        spin_ns: if cpus > 1 { SPIN_NS } else { 0 },
    }));
    let placed = place.compare_exchange(old, made, Ordering::AcqRel, Ordering::Acquire);
    // SAFETY: ours, which is never freed now; or another thread's that was quicker, and then nobody knows ours.
    unsafe {
        match placed {
            Ok(_) => &*made,
            Err(theirs) => {
                drop(Box::from_raw(made));
                &*theirs
            }
        }
    }
}

/// Has the job run by an offload thread; if there is none and none can be started, in place. By a fiber that may
/// switch; `pinned`: on a worker that is bound to its CPU.
///
/// # Safety
/// As [`Jobs::offer`].
pub(super) unsafe fn submit(job: *const Job, pinned: bool) {
    let pool = pool();
    // SAFETY: passed on.
    match unsafe { pool.jobs.offer(job) } {
        Offered::Handed { wake: Some(word) } => _ = futex::wake_one(word),
        Offered::Handed { wake: None } | Offered::Queued => {}
        Offered::Start => pool.start(pinned),
    }
}

impl Pool {
    #[cold]
    fn start(&'static self, pinned: bool) {
        // The fiber's stack may be small.
        on_worker_stack(|| {
            let started = os::thread::spawn_named(NAME.to_owned(), move || {
                // A thread inherits its starter's binding, and slack; and children inherit it from this one.
                if pinned {
                    os::thread::unpin();
                }
                os::thread::unpunctual();
                self.work();
            });
            if started.is_err() {
                self.jobs.not_started();
                // Perhaps others' jobs too: those that were queued because we were about to start a thread.
                while let Some(job) = self.jobs.take_orphan() {
                    super::without_identity(|| {
                        // SAFETY: taken out, so ours to run, once.
                        unsafe { ((*job).run)(job) };
                    });
                    // SAFETY: as above; it was run.
                    unsafe { ((*job).tell)(job) };
                }
            }
        });
    }

    fn work(&self) {
        // No job unwinds; the destructor of a fiber-local might, and then a fiber would wait for ever.
        let bomb = AbortOnUnwind("a fiber-local panicked in its destructor on an offload thread");
        let seat = Seat::new();
        let mut next = self.jobs.next(&seat);
        while let Some(job) = next.or_else(|| self.wait(&seat)) {
            // SAFETY: taken out, so ours to run, once.
            unsafe { ((*job).run)(job) };
            // The next job gets a stand-in of its own.
            current::end_thread();
            // Idle before the owner is told: what it has for us next finds us, and no second thread is started.
            next = self.jobs.next(&seat);
            // SAFETY: as above; it was run.
            unsafe { ((*job).tell)(job) };
        }
        std::mem::forget(bomb);
    }

    /// Waits in the seat for a job. `None`: for too long, and the thread must end.
    fn wait(&self, seat: &Seat) -> Option<*const Job> {
        let idle_since_ns = os::clock::now_ns();
        loop {
            for _ in 0..20 {
                if let Some(job) = seat.look() {
                    return Some(job);
                }
                std::hint::spin_loop();
            }
            if os::clock::now_ns() - idle_since_ns >= self.spin_ns {
                break;
            }
        }
        let until_ns = idle_since_ns.saturating_add(self.idle_ns);
        loop {
            seat.lie_down();
            let waited = futex::wait_until(seat.futex(), ASLEEP, Some(until_ns));
            if let Some(job) = seat.look() {
                return Some(job);
            }
            if waited == Waited::TimedOut {
                return self.jobs.leave(seat).err();
            }
        }
    }
}

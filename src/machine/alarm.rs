//! Alarm: the part of a worker that wakes fibers at their deadlines.
//!
//! Each worker has a heap of entries (`queue/heap.rs`), one for each fiber that it is to wake (ALARM-1 and -2 in
//! `fiber/alarm.rs`). A pinned fiber's keeper is its home, so arming is plain data of this thread. A running
//! worker looks at the clock every few picks while its heap is not empty; one that goes to sleep states its
//! earliest deadline (`dues.rs`) after it has put the first entries right.
//!
//! Slack. A fiber may be woken late by a sixteenth of its time, half a millisecond at the most, so that others are
//! woken with it. A worker that is awake serves whatever is due; one that sleeps gets up for the first deadline,
//! or, if deadlines are dense, not before a pause since it last got up for one. The pause grows with the number of
//! deadlines of late, up to the least slack of late (`pace.rs`): up to some thousand
//! a second each is worth a wake-up, which is a few percent of a CPU; a million sleepers are woken in a few thousand
//! batches. (The kernel's timers have such ranges too; its slack for threads is 50 us, and none for ours.)
//! A pinned fiber's entry says its deadline; a floating one's, whose worker others wake, the latest moment.
//!
//! A floating fiber's entry stays with the worker where it was armed until it comes up, or until the fiber, on
//! another worker by now, needs an earlier one: then it moves along. So a floating machine's heaps are used
//! under their locks; no two of them are held at once, and nobody is woken under one. A floating fiber must not
//! wait for one worker that blocks while others idle: each heap's first entry is a due (`dues.rs`) as soon as it is
//! there, stated under the heap's lock, and the polling thread serves what nobody else has served by then.

use std::cell::{Cell, UnsafeCell};

use parking_lot::Mutex;

use crate::fiber::alarm::NEVER;
use crate::fiber::header::{FiberRef, Header};
use crate::fiber::reasons::Reasons;
use crate::machine::core::Machine;
use crate::machine::wake::wake;
use crate::machine::worker::{Own, Worker};
use crate::queue::heap::Heap;

const TIMEOUT: u16 = Reasons::TIMEOUT.0;
/// The most picks between two looks at the clock.
const LOOK_EVERY: u32 = 8;
/// If as much has passed since the last look, fibers run for long: the next look is at the next pick.
const LONG_NS: u64 = 20_000;
/// How many entries are served at a look, before the fibers that they woke get their turn.
const SERVED_MAX: usize = 256;
/// The most that a fiber may be woken late so that others are woken with it.
pub(crate) const SLACK_MAX_NS: u64 = 500_000;
/// Which part of the time until its deadline that is.
const SLACK_PART: u64 = 16;

/// The latest moment at which to serve a deadline.
#[inline]
fn latest(at_ns: u64, now_ns: u64) -> u64 {
    let slack = (at_ns.saturating_sub(now_ns) / SLACK_PART).min(SLACK_MAX_NS);
    at_ns.saturating_add(slack).min(NEVER - 1)
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Alarm {
    heap: UnsafeCell<Heap<Header>>,
    /// Taken where the machine floats.
    lock: Mutex<()>,
    /// Floating machines, under the lock: the due that was stated for this heap.
    stated_ns: Cell<u64>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self {
            heap: UnsafeCell::new(Heap::new()),
            lock: Mutex::new(()),
            stated_ns: Cell::new(NEVER),
        }
    }

    /// For a new machine: the heap is empty, nothing is stated.
    pub(crate) fn begin(&self) {
        self.stated_ns.set(NEVER);
    }

    /// Lends the heap to `f`, which calls nothing that comes back here.
    ///
    /// # Safety
    /// `floating`, or the caller is the worker's own thread (WORKER-1).
    #[inline]
    unsafe fn with<R>(&self, floating: bool, f: impl FnOnce(&mut Heap<Header>) -> R) -> R {
        let _guard = floating.then(|| self.lock.lock());
        // SAFETY: one thread, or the lock.
        f(unsafe { &mut *self.heap.get() })
    }
}

/// Wakes the running fiber `fiber`, or this thread, with `TIMEOUT` at that moment (`NEVER`: not at all), and
/// takes back the `TIMEOUT` that is pending.
#[inline(always)]
pub(crate) fn arm(me: Option<Own>, fiber: &Header, at_ns: u64) {
    fiber.alarm.set_at_ns(at_ns);
    take_back(fiber);
    if at_ns != NEVER
        && let Some(me) = me
    {
        me.keep(fiber, at_ns);
    }
}

/// As [`arm`]; if that moment is known to have come already, `TIMEOUT` is pending at once.
#[inline(always)]
pub(crate) fn arm_known(me: Option<Own>, fiber: &Header, at_ns: u64) {
    arm(me, fiber, at_ns);
    if let Some(me) = me
        && at_ns <= me.local().clock_ns.get()
    {
        time_is_up(fiber);
    }
}

/// For a fiber that keeps its worker from looking: `TIMEOUT` is pending if its time has come.
pub(crate) fn ring_if_due(me: Own, fiber: &Header) {
    let at_ns = fiber.alarm.at_ns();
    if at_ns != NEVER && at_ns <= me.now_ns() {
        time_is_up(fiber);
    }
}

#[cold]
fn time_is_up(fiber: &Header) {
    if fiber.word.is_shared() {
        // Running, so not parked: the reason is stored, no more.
        let _ = fiber.word.wake(TIMEOUT);
    } else {
        fiber.reasons.set(fiber.reasons.get() | TIMEOUT);
    }
}

/// Wakes the running fiber, or this thread, at no moment.
#[inline(always)]
pub(crate) fn disarm(fiber: &Header) {
    fiber.alarm.set_at_ns(NEVER);
    take_back(fiber);
}

/// Takes back the `TIMEOUT` that is pending.
#[inline(always)]
fn take_back(fiber: &Header) {
    if fiber.word.is_shared() {
        let _ = fiber.word.try_take(TIMEOUT);
    } else {
        fiber.reasons.set(fiber.reasons.get() & !TIMEOUT);
    }
}

impl Own {
    /// The time. What is asked for here is known to the alarm too.
    #[inline]
    pub(crate) fn now_ns(self) -> u64 {
        let now_ns = self.machine().clock.now_ns();
        self.local().clock_ns.set(now_ns);
        now_ns
    }

    /// A moment that is now, or very little later: to add a duration to.
    #[inline]
    pub(crate) fn soon_ns(self) -> u64 {
        if self.machine().is_driven() {
            return self.now_ns();
        }
        let local = self.local();
        let soon_ns = local.cycles.soon_ns();
        local.soon_ns.set(soon_ns);
        soon_ns
    }

    /// The last that this thread has heard of the time.
    fn heard_ns(self) -> u64 {
        self.local().clock_ns.get().max(self.local().soon_ns.get())
    }

    /// Sees to it that an entry for that moment, or an earlier one, is in a heap (ALARM-1).
    #[inline(always)]
    fn keep(self, fiber: &Header, at_ns: u64) {
        if fiber.word.is_shared() {
            self.keep_floating(fiber, at_ns);
            return;
        }
        let row = fiber.alarm.row().get();
        // SAFETY: pinned, and this is its home.
        let kept =
            row != 0 && unsafe { self.worker().alarm.with(false, |heap| heap.at_ns(row)) } <= at_ns;
        if !kept {
            self.enroll(fiber, at_ns, false);
        }
    }

    #[cold]
    fn keep_floating(self, fiber: &Header, at_ns: u64) {
        let keeper = fiber.alarm.keeper();
        if let Some(index) = keeper
            && index != self.index()
        {
            let worker = self.machine().workers[index];
            let latest = latest(at_ns, self.heard_ns());
            // SAFETY: floating.
            let kept = unsafe {
                worker.alarm.with(true, |heap| {
                    let row = fiber.alarm.row().get();
                    let kept = row != 0 && heap.at_ns(row) <= latest;
                    if row != 0 && !kept {
                        heap.remove(row);
                        worker.counters.timers_pending.set(heap.len() as u64);
                    }
                    kept
                })
            };
            if kept {
                return;
            }
        }
        fiber.alarm.set_keeper(Some(self.index()));
        self.enroll(fiber, at_ns, true);
    }

    /// Puts an entry into our heap, or moves it there to an earlier moment.
    #[inline(never)]
    fn enroll(self, fiber: &Header, at_ns: u64, floating: bool) {
        let latest = latest(at_ns, self.heard_ns());
        let entry_ns = if floating {
            latest
        } else {
            // By deadlines: behind an entry with less slack, earlier ones would be overlooked.
            self.local().pace.may_be_late_by(latest - at_ns);
            at_ns
        };
        // SAFETY: ours. The fiber takes its entry out before it ends (`forget`).
        let now = unsafe {
            self.worker().alarm.with(floating, |heap| {
                match fiber.alarm.row().get() {
                    0 => heap.push(entry_ns, fiber),
                    row if entry_ns < heap.at_ns(row) => heap.move_to(row, entry_ns),
                    _ => {}
                }
                if floating {
                    self.machine()
                        .state_floating(self.worker(), heap, self.heard_ns());
                }
                Standing::of(heap, self.worker(), floating)
            })
        };
        if self.local().alarm_ns.get() == NEVER {
            self.look_soon();
        }
        self.note(now);
    }

    /// After each change of our heap.
    #[inline]
    fn note(self, now: Standing) {
        self.local().alarm_ns.set(now.first_ns);
    }

    /// Takes the fiber's entry out, if it has one: the fiber ends.
    #[inline]
    pub(crate) fn forget(self, fiber: &Header) {
        if fiber.word.is_shared() {
            if let Some(keeper) = fiber.alarm.keeper() {
                // SAFETY: floating.
                unsafe { remove(self.machine().workers[keeper], fiber, true) };
            }
        } else if fiber.alarm.row().get() != 0 {
            // SAFETY: pinned, and this is its home.
            let now = unsafe { remove(self.worker(), fiber, false) };
            self.note(now);
        }
    }

    /// Between two picks, while there are entries, or sources of its own: perhaps looks at the clock. True if it did.
    pub(crate) fn look_at_clock(self) -> bool {
        let local = self.local();
        let tick = local.tick.get();
        if (tick.wrapping_sub(local.next_look.get()) as i32) < 0 {
            return false;
        }
        // Never before now: what is not due by then is not due, and the real clock need not be asked.
        let soon_ns = self.soon_ns();
        let long = soon_ns.wrapping_sub(local.looked_ns.replace(soon_ns)) >= LONG_NS;
        let served = if self.is_due(soon_ns) {
            self.serve(self.now_ns())
        } else {
            0
        };
        let every = if long || served == SERVED_MAX {
            1
        } else {
            LOOK_EVERY
        };
        local.next_look.set(tick.wrapping_add(every));
        true
    }

    /// There is something to look at the clock for: so far, perhaps, nobody has.
    pub(crate) fn look_soon(self) {
        let local = self.local();
        local.next_look.set(local.tick.get().wrapping_add(1));
        local.next_turn.set(local.next_look.get());
    }

    /// True if an entry has come up, as far as this worker knows.
    #[inline]
    pub(crate) fn is_due(self, now_ns: u64) -> bool {
        self.local().alarm_ns.get() <= now_ns
    }

    /// Wakes the fibers whose deadlines have come, and puts right the entries that came up too early. How many
    /// entries were served; at most `SERVED_MAX`.
    pub(crate) fn serve(self, now_ns: u64) -> usize {
        let mut served = 0;
        if !self.is_due(now_ns) {
            return 0;
        }
        let floating = self.machine().config.floating;
        while served < SERVED_MAX {
            // SAFETY: ours.
            let (due, now) = unsafe {
                self.worker().alarm.with(floating, |heap| {
                    let due = next_due(heap, now_ns, self.worker(), floating);
                    (due, Standing::of(heap, self.worker(), floating))
                })
            };
            self.note(now);
            match due {
                Due::None => break,
                Due::Corrected => {}
                Due::Pinned(header) => {
                    // SAFETY: at home here, and had an entry: it has not ended.
                    let fiber = unsafe { &*header };
                    self.wake_at_home(fiber, TIMEOUT);
                }
                Due::Floating(fiber) => {
                    // SAFETY: we hold a reference.
                    unsafe { wake(fiber.as_ptr(), TIMEOUT) };
                }
            }
            served += 1;
        }
        served
    }

    /// When this worker, about to sleep, must be up again; `NEVER` if nobody waits for it. The first entries
    /// are put right.
    pub(crate) fn next_due(self) -> u64 {
        let floating = self.machine().config.floating;
        // SAFETY: ours.
        let now = unsafe {
            self.worker().alarm.with(floating, |heap| {
                while let Some((entry_ns, header)) = heap.first() {
                    // SAFETY: in the heap, so alive.
                    let at_ns = (*header).alarm.at_ns();
                    if at_ns <= entry_ns {
                        break;
                    }
                    correct(heap, at_ns, entry_ns, floating);
                }
                Standing::of(heap, self.worker(), floating)
            })
        };
        self.note(now);
        let again_ns = self.local().pace.next_up_ns();
        again_ns.clamp(now.first_ns, now.latest_ns)
    }
}

impl Machine {
    /// Floating: sees to it that the polling thread comes to this heap for its first entry, or a little later: of
    /// equal deadlines each that is armed later has less slack. Under the heap's lock.
    fn state_floating(&self, worker: &Worker, heap: &Heap<Header>, now_ns: u64) {
        let first_ns = heap.first().map_or(NEVER, |(latest, _)| latest);
        let little_ns = (first_ns.saturating_sub(now_ns) / SLACK_PART).min(SLACK_MAX_NS / 4);
        if first_ns.saturating_add(little_ns) < worker.alarm.stated_ns.get() {
            worker.alarm.stated_ns.set(first_ns);
            self.dues
                .want(worker.index(), first_ns, |at_ns| self.set_timer(at_ns));
        }
    }

    /// Floating: serves a heap whose due has come, from the polling thread.
    pub(crate) fn serve_floating(&self, worker: &'static Worker, now_ns: u64) {
        loop {
            // SAFETY: floating.
            let due = unsafe {
                worker.alarm.with(true, |heap| {
                    let due = next_due(heap, now_ns, worker, true);
                    if matches!(due, Due::None) {
                        // The due was taken out before we were called.
                        worker.alarm.stated_ns.set(NEVER);
                        self.state_floating(worker, heap, now_ns);
                    }
                    let _ = Standing::of(heap, worker, true);
                    due
                })
            };
            match due {
                Due::None => return,
                // SAFETY: we hold a reference.
                Due::Floating(fiber) => unsafe { wake(fiber.as_ptr(), TIMEOUT) },
                Due::Corrected | Due::Pinned(_) => {}
            }
        }
    }
}

/// What the deterministic mode looks at between two steps.
impl Own {
    /// When the fiber's entry comes up: not after its deadline, or, where machines float, at most `SLACK_MAX_NS` after
    /// it; `NEVER` if it has none. At the fiber's home.
    pub(crate) fn entry_ns(self, fiber: &Header) -> u64 {
        let floating = fiber.word.is_shared();
        let keeper = match fiber.alarm.keeper() {
            Some(index) if floating => self.machine().workers[index],
            None if floating => return NEVER,
            _ => self.worker(),
        };
        // SAFETY: floating, or pinned and this is its home.
        unsafe {
            keeper
                .alarm
                .with(floating, |heap| match fiber.alarm.row().get() {
                    0 => NEVER,
                    row => heap.at_ns(row),
                })
        }
    }
}

impl Worker {
    /// How many entries its heap has, and when the first comes up; `NEVER` if there is none. Of a machine at rest.
    ///
    /// # Safety
    /// The calling thread is this worker's.
    pub(crate) unsafe fn entries(&self, floating: bool) -> (u64, u64) {
        // SAFETY: by contract.
        let now = unsafe {
            self.alarm
                .with(floating, |heap| Standing::of(heap, self, floating))
        };
        (now.len, now.latest_ns)
    }
}

/// A heap, for those who do not look into it.
#[derive(Clone, Copy)]
struct Standing {
    /// The deadline of the fiber whose entry is first, and the latest moment for that.
    first_ns: u64,
    latest_ns: u64,
    len: u64,
}

impl Standing {
    /// Of that worker's heap; the worker's counter is put right on the way. Inside `with`: where the machine
    /// floats others take entries out too, and count under the lock.
    fn of(heap: &Heap<Header>, worker: &Worker, floating: bool) -> Self {
        worker.counters.timers_pending.set(heap.len() as u64);
        let (first_ns, latest_ns) = heap.first().map_or((NEVER, NEVER), |(entry_ns, header)| {
            if floating {
                // SAFETY: in the heap, so alive. One that is for later by now is served, and put right, at its time.
                return (unsafe { &*header }.alarm.at_ns().min(entry_ns), entry_ns);
            }
            (
                entry_ns,
                entry_ns.saturating_add(SLACK_MAX_NS).min(NEVER - 1),
            )
        });
        Self {
            first_ns,
            latest_ns,
            len: heap.len() as u64,
        }
    }
}

/// What came up in a heap.
enum Due {
    /// Nothing.
    None,
    /// An entry that was too early, or for nobody.
    Corrected,
    /// This one is to be woken.
    Pinned(*const Header),
    /// As above; by reference, as it may go on, and end, before it is woken.
    Floating(FiberRef),
}

/// Serves the first entry, if its time has come.
fn next_due(heap: &mut Heap<Header>, now_ns: u64, worker: &Worker, floating: bool) -> Due {
    let Some((entry_ns, header)) = heap.first() else {
        return Due::None;
    };
    // SAFETY: in the heap, so alive.
    let fiber = unsafe { &*header };
    let at_ns = fiber.alarm.at_ns();
    if at_ns > now_ns {
        if entry_ns > now_ns {
            return Due::None;
        }
        correct(heap, at_ns, now_ns, floating);
        return Due::Corrected;
    }
    heap.remove(fiber.alarm.row().get());
    worker.counters.timers_fired.add(1);
    if floating {
        // SAFETY: alive: it ends only after `forget`, for which it needs the lock that we hold.
        Due::Floating(unsafe { FiberRef::retain(header) })
    } else {
        Due::Pinned(header)
    }
}

/// Moves the first entry to where its fiber's deadline is by now, or takes it out if there is none.
fn correct(heap: &mut Heap<Header>, at_ns: u64, now_ns: u64, floating: bool) {
    let Some((_, header)) = heap.first() else {
        return;
    };
    // SAFETY: in the heap, so alive.
    let row = unsafe { &*header }.alarm.row().get();
    if at_ns == NEVER {
        heap.remove(row);
    } else if floating {
        heap.move_to(row, latest(at_ns, now_ns));
    } else {
        heap.move_to(row, at_ns);
    }
}

/// # Safety
/// As [`Alarm::with`].
unsafe fn remove(worker: &'static Worker, fiber: &Header, floating: bool) -> Standing {
    // SAFETY: passed on.
    unsafe {
        worker.alarm.with(floating, |heap| {
            let row = fiber.alarm.row().get();
            if row != 0 {
                heap.remove(row);
            }
            Standing::of(heap, worker, floating)
        })
    }
}

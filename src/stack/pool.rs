//! The pool: all stacks of one machine.
//!
//! Any thread may call; each size class has its own lock, held for moving addresses and for mapping
//! a slab, never for a guard or a discard. Workers keep a few stacks each in a magazine of their
//! own and come here in batches, so that in steady state nobody comes here at all.
//!
//! In every list of stacks, the pool's and the callers', the *last* one is the hottest.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::class::{HEAD_BYTES, KEPT_BYTES, SizeClass, StackRef};
use super::depot::Depot;
use super::guard::{Guard, GuardMethod};
use super::slab::Slabs;
use crate::os::memory;

/// At most so many stacks are cut by one call. Few, so that N fibers touch little more than N
/// stacks; several, so that starting many fibers seldom comes here.
const CUT_MAX: usize = 8;
/// A round of [`StackPool::maintain`] makes at most so many system calls (about 5 us each when it
/// frees a page or two), and releases stacks of at most so many bytes (about 20 ms if every page of
/// them was touched): the worker that does it may be wanted meanwhile.
const CALLS_MAX: usize = 1024;
/// How many neighbours go in one call, at the most: it takes some 100 us.
const RUN_MAX: usize = 64;
const RELEASE_BYTES_MAX: usize = 256 << 20;
/// Rounds are at least this far apart, however many workers ask for one.
const ROUND_INTERVAL_NS: u64 = 40_000_000;

/// What a pool is to be like.
#[derive(Clone, Debug)]
pub(crate) struct PoolConfig {
    /// Bytes of guard below each stack, out of the stack's own size. Rounded up to whole pages.
    pub(crate) guard_bytes: usize,
    /// How to guard.
    pub(crate) guard: GuardMethod,
    /// Idle stacks of each class that keep some memory whatever happens.
    pub(crate) floor: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            guard_bytes: memory::page_size(),
            guard: GuardMethod::Auto,
            floor: 64,
        }
    }
}

/// A pool's counters, at about the same instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PoolStats {
    /// Stacks that exist: those out, and those pooled.
    pub(crate) cut: u64,
    /// Idle stacks that hold memory.
    pub(crate) pooled_warm: u64,
    /// Idle stacks that hold none.
    pub(crate) pooled_cold: u64,
    /// Stacks whose memory went back to the kernel, counted since the start.
    pub(crate) returned: u64,
    /// Address space mapped.
    pub(crate) mapped_bytes: u64,
}

/// What a round may still do.
struct Budget<'a> {
    calls: usize,
    release_bytes: usize,
    /// Called after each call.
    between: &'a mut dyn FnMut(),
}

/// One class's share of the pool.
#[derive(Debug)]
struct Shelf {
    slabs: Slabs,
    depot: Depot,
}

/// All stacks of one machine, of all sizes.
#[derive(Debug)]
pub(crate) struct StackPool {
    shelves: [Mutex<Shelf>; SizeClass::COUNT],
    guard: Guard,
    guard_bytes: usize,
    floor: usize,
    /// When the last round began. Relaxed, like the others: no memory is guarded by it.
    last_round_ns: AtomicU64,
    returned: AtomicU64,
    /// The kernel refuses to take memory back (it is locked), so that rounds are of no use.
    memory_stays: AtomicBool,
    /// Stacks came in since the last round began.
    given: AtomicBool,
    /// Somebody makes rounds.
    kept_up: AtomicBool,
}

impl StackPool {
    /// An empty pool.
    ///
    /// # Errors
    /// InvalidInput: no guard, or one that leaves no room in any class. Unsupported: markers were
    /// asked for and the kernel has none.
    pub(crate) fn new(config: PoolConfig) -> io::Result<StackPool> {
        let guard_bytes = config
            .guard_bytes
            .checked_next_multiple_of(memory::page_size());
        let largest = SizeClass::for_bytes(SizeClass::BYTES_MAX).expect("the largest class");
        let fits = |bytes: &usize| *bytes > 0 && largest.has_room_beside(*bytes);
        let Some(guard_bytes) = guard_bytes.filter(fits) else {
            let text = format!(
                "guard size of {} bytes: must be above 0 and leave room in the largest stack",
                config.guard_bytes
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let mut classes = SizeClass::all();
        Ok(StackPool {
            shelves: std::array::from_fn(|_| {
                let class = classes.next().expect("as many classes as shelves");
                Mutex::new(Shelf {
                    slabs: Slabs::new(class),
                    depot: Depot::default(),
                })
            }),
            guard: Guard::choose(config.guard)?,
            guard_bytes,
            floor: config.floor,
            last_round_ns: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            memory_stays: AtomicBool::new(false),
            given: AtomicBool::new(false),
            kept_up: AtomicBool::new(false),
        })
    }

    /// Bytes of guard below each stack, whole pages.
    pub(crate) fn guard_bytes(&self) -> usize {
        self.guard_bytes
    }

    /// Whether stacks of a class can be had at all: [`take`](Self::take)'s first check, for callers
    /// that validate options.
    ///
    /// # Errors
    /// InvalidInput: the guard leaves no room in so small a stack.
    pub(crate) fn check(&self, class: SizeClass) -> io::Result<()> {
        if class.has_room_beside(self.guard_bytes) {
            return Ok(());
        }
        let text = format!(
            "stack size of {} bytes: too small beside a guard of {} bytes",
            class.bytes(),
            self.guard_bytes
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }

    /// Appends 1 to `want` stacks to `out`, the hottest last; with `want` = 0 none.
    ///
    /// # Errors
    /// Not even one could be had: InvalidInput as for [`check`](Self::check); OutOfMemory if there
    /// is no address space, or no guard (the text names the limit). Nothing is lost then: a slot
    /// whose guard failed is tried again by a later call.
    pub(crate) fn take(
        &self,
        class: SizeClass,
        out: &mut Vec<StackRef>,
        want: usize,
    ) -> io::Result<()> {
        self.check(class)?;
        if want == 0 {
            return Ok(());
        }
        let slots = {
            let mut shelf = self.shelf(class).lock();
            let before = out.len();
            shelf.depot.take(out, want);
            if out.len() > before {
                return Ok(());
            }
            shelf.slabs.claim(want.min(CUT_MAX))?
        };
        self.cut(class, slots, out)
    }

    /// Makes claimed slots into stacks. Called without the lock.
    fn cut(
        &self,
        class: SizeClass,
        slots: Vec<StackRef>,
        out: &mut Vec<StackRef>,
    ) -> io::Result<()> {
        let before = out.len();
        let mut slots = slots.into_iter();
        while let Some(slot) = slots.next() {
            // SAFETY: a claimed slot lies in a slab of this class, which stays mapped while it is
            // claimed, and belongs to this call alone (STACK-1); the guard is its lowest pages.
            let guarded = unsafe { self.guard.install(class.limit_ptr(slot), self.guard_bytes) };
            if let Err(error) = guarded {
                let mut shelf = self.shelf(class).lock();
                shelf.slabs.put_back(slot);
                slots.for_each(|slot| shelf.slabs.put_back(slot));
                return if out.len() > before {
                    Ok(())
                } else {
                    Err(error)
                };
            }
            out.push(slot);
        }
        Ok(())
    }

    /// Moves all but the last `leave` of `stacks` into the pool.
    ///
    /// The stacks are ones that [`take`](Self::take) of this pool gave out for this class, each
    /// given back once, and nothing runs on them any more. Whoever takes one later finds the top
    /// [`KEPT_BYTES`] either as they are now or all zero; what lies below may be lost.
    pub(crate) fn give(&self, class: SizeClass, stacks: &mut Vec<StackRef>, leave: usize) {
        let count = stacks.len().saturating_sub(leave);
        if count > 0 {
            self.shelf(class).lock().depot.give(stacks.drain(..count));
            // Written only if changed: all workers come by here.
            if !self.given.load(Relaxed) {
                self.given.store(true, Relaxed);
            }
        }
    }

    /// True if somebody should call [`keep_up`](Self::keep_up) in a while, and nobody was told so before.
    pub(crate) fn needs_upkeep(&self) -> bool {
        self.given.load(Relaxed) && !self.kept_up.load(Relaxed) && !self.kept_up.swap(true, Relaxed)
    }

    /// A round of [`maintain`](Self::maintain). True: another one is needed in a while. By whoever was told so.
    /// Calls `between` every 100 us or so.
    pub(crate) fn keep_up(&self, now_ns: u64, between: &mut dyn FnMut()) -> bool {
        // Before the round: what is given meanwhile counts for the next one.
        self.given.store(false, Relaxed);
        if self.maintain(now_ns, between) {
            return true;
        }
        self.kept_up.store(false, Relaxed);
        self.needs_upkeep()
    }

    /// Gives memory of idle stacks back, a bounded amount; the rules are at the head of `depot`.
    ///
    /// To be called about every 50 ms. True: there will be more to do, so call again.
    pub(crate) fn maintain(&self, now_ns: u64, between: &mut dyn FnMut()) -> bool {
        if self.memory_stays.load(Relaxed) {
            return false;
        }
        let last_ns = self.last_round_ns.load(Relaxed);
        let due = now_ns.saturating_sub(last_ns) >= ROUND_INTERVAL_NS;
        // One caller wins each round.
        let swap = || {
            self.last_round_ns
                .compare_exchange(last_ns, now_ns, Relaxed, Relaxed)
        };
        if !due || swap().is_err() {
            return self
                .shelves
                .iter()
                .any(|shelf| shelf.lock().depot.has_more(self.floor));
        }
        let mut left = Budget {
            calls: CALLS_MAX,
            release_bytes: RELEASE_BYTES_MAX,
            between,
        };
        let mut more = false;
        for class in SizeClass::all() {
            more |= self.maintain_class(class, &mut left);
        }
        more && !self.memory_stays.load(Relaxed)
    }

    /// One class's part of a round.
    fn maintain_class(&self, class: SizeClass, left: &mut Budget<'_>) -> bool {
        let shelf = self.shelf(class);
        let mut round = {
            let mut shelf = shelf.lock();
            let depot = &mut shelf.depot;
            if depot.holding() == 0 {
                return false;
            }
            depot.start_round(self.floor, left.release_bytes / class.bytes(), left.calls)
        };
        let released = self.release(class, &mut round.release, left);
        let trimmed = self.trim(class, &round.trim, left);
        left.release_bytes -= released * class.bytes();
        self.returned.fetch_add(released as u64, Relaxed);
        let mut shelf = shelf.lock();
        let depot = &mut shelf.depot;
        depot.released(&round.release[..released]);
        depot.untouched(&round.release[released..]);
        depot.trimmed(&round.trim[..trimmed]);
        depot.untouched(&round.trim[trimmed..]);
        depot.has_more(self.floor)
    }

    /// Gives back all memory of the first so many of `stacks`, which it sorts; returns how many.
    /// Neighbours go in one call: guards outlive it, whichever method made them.
    fn release(&self, class: SizeClass, stacks: &mut [StackRef], left: &mut Budget<'_>) -> usize {
        stacks.sort_unstable();
        let mut done = 0;
        for run in stacks
            .chunk_by(|low, high| class.limit_of(*low) + class.bytes() == class.limit_of(*high))
            .flat_map(|run| run.chunks(RUN_MAX))
        {
            // The run's own lowest guard is left out only because there is nothing to free.
            let bytes = run.len() * class.bytes() - self.guard_bytes;
            if !self.discard(class, run[0], bytes, left) {
                break;
            }
            done += run.len();
        }
        done
    }

    /// Gives back all but the top of the first so many of `stacks`; returns how many.
    fn trim(&self, class: SizeClass, stacks: &[StackRef], left: &mut Budget<'_>) -> usize {
        let one = |stack: &&StackRef| {
            let kept_from = (stack.base() + HEAD_BYTES - KEPT_BYTES) & !(memory::page_size() - 1);
            let bytes = kept_from.saturating_sub(class.limit_of(**stack) + self.guard_bytes);
            bytes == 0 || self.discard(class, **stack, bytes, left)
        };
        stacks.iter().take_while(one).count()
    }

    /// Discards `bytes` from the end of the guard of `stack` upwards; false if it was not done.
    fn discard(
        &self,
        class: SizeClass,
        stack: StackRef,
        bytes: usize,
        left: &mut Budget<'_>,
    ) -> bool {
        if left.calls == 0 || self.memory_stays.load(Relaxed) {
            return false;
        }
        left.calls -= 1;
        // SAFETY: the range lies in idle stacks of this class that this round took out of the
        // depot, so nobody else has them; nothing relies on what an idle stack holds. All ends are
        // whole pages: slots, the guard, and what a trim keeps.
        let done = unsafe {
            let start = class.limit_ptr(stack).add(self.guard_bytes);
            memory::discard(start, bytes)
        };
        (left.between)();
        if done.is_err() {
            self.memory_stays.store(true, Relaxed);
        }
        done.is_ok()
    }

    /// Calls `f` with every stack that may be in use: all but those known to hold no memory.
    ///
    /// Stacks are cut, taken and given meanwhile; an idle one still shows what its last user left
    /// in its head, and one never used shows zeros. No lock is held while `f` runs.
    pub(crate) fn for_each_cut(&self, f: &mut dyn FnMut(SizeClass, StackRef)) {
        for class in SizeClass::all() {
            let stacks: Vec<StackRef> = {
                let shelf = self.shelf(class).lock();
                let mut cold = shelf.depot.cold().to_vec();
                cold.sort_unstable();
                shelf.slabs.all_except(&cold).collect()
            };
            stacks.into_iter().for_each(|stack| f(class, stack));
        }
    }

    /// The counters. Takes each class's lock in turn.
    pub(crate) fn stats(&self) -> PoolStats {
        let mut stats = PoolStats {
            returned: self.returned.load(Relaxed),
            ..PoolStats::default()
        };
        for shelf in &self.shelves {
            let shelf = shelf.lock();
            stats.cut += shelf.slabs.cut() as u64;
            stats.pooled_warm += shelf.depot.holding() as u64;
            stats.pooled_cold += shelf.depot.cold().len() as u64;
            stats.mapped_bytes += shelf.slabs.mapped_bytes() as u64;
        }
        stats
    }

    fn shelf(&self, class: SizeClass) -> &Mutex<Shelf> {
        &self.shelves[class.index()]
    }
}

impl Drop for StackPool {
    /// Unmaps the slabs. One with a stack that was never given back stays mapped for ever: a fiber
    /// that could not be unwound is leaked with its stack (STACK-3).
    fn drop(&mut self) {
        for shelf in &mut self.shelves {
            let shelf = shelf.get_mut();
            let mut idle = shelf.depot.drain();
            self.guard.forget(shelf.slabs.unmap(&mut idle));
        }
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<StackPool>();
};

//! A cheaper clock, for moments that may lie a little ahead: the processor's cycle counter between two readings
//! of the real one.
//!
//! Asking the kernel's clock costs 20 to 30 ns, most of it for waiting until everything before has retired. Where a
//! duration is added to the answer, and being a microsecond late does no harm but being early does, an upper
//! bound is as good: the time of the last real reading, and what the counter says has passed since, at a rate
//! rounded up by more than the kernel ever slews its clock.
//!
//! Only where the kernel itself keeps its time by that counter (clock source `tsc`: it counts at one rate, and
//! alike on all CPUs). Elsewhere each answer is a real reading.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::clock;

/// Nanoseconds per cycle, times 2^32, rounded up; 0: not known (yet), or not to be used.
static RATE: AtomicU64 = AtomicU64::new(0);
/// A reading from which the rate is measured: cycles and nanoseconds.
static FIRST: Mutex<Option<(u64, u64)>> = Mutex::new(None);
/// How long a counter reading is trusted after a real one, in cycles: well below a millisecond.
const TRUST_CYCLES: u64 = 1 << 20;
/// How far apart the counter may be read before and after the clock: a few microseconds, at the measuring distance
/// much less than the rate is rounded up by.
const APART_CYCLES: u64 = 10_000;
const TRIES: u32 = 3;
/// From how long a distance the rate is measured.
const MEASURE_NS: u64 = 20_000_000;
/// The rate is rounded up by a part in so many: the kernel slews by a part in 2,000 at the most.
const ROUND_UP_PART: u64 = 1_000;
/// The counter may be read a little before the instructions in front of it.
const EARLY_NS: u64 = 200;

/// What one thread knows: its last real reading.
#[derive(Debug)]
pub(crate) struct Cycles {
    cycles: Cell<u64>,
    ns: Cell<u64>,
}

impl Cycles {
    pub(crate) const fn new() -> Self {
        Self {
            cycles: Cell::new(0),
            ns: Cell::new(0),
        }
    }

    /// A moment that is not before now, and after it by a microsecond or two at the most.
    #[inline]
    pub(crate) fn soon_ns(&self) -> u64 {
        // Relaxed: a number by itself.
        let rate = RATE.load(Ordering::Relaxed);
        let passed = count().wrapping_sub(self.cycles.get());
        if rate != 0 && passed < TRUST_CYCLES {
            self.ns.get() + ((passed * rate) >> 32) + EARLY_NS
        } else {
            self.read()
        }
    }

    #[cold]
    fn read(&self) -> u64 {
        if !is_trusted() {
            return clock::now_ns();
        }
        for _ in 0..TRIES {
            // The counter first: what passes between the two readings makes later answers later.
            let cycles = count();
            let ns = clock::now_ns();
            // A thread that lost its CPU between them knows nothing.
            if count().wrapping_sub(cycles) < APART_CYCLES {
                self.cycles.set(cycles);
                self.ns.set(ns);
                measure(cycles, ns);
                return ns;
            }
        }
        clock::now_ns()
    }
}

/// Measures the rate, once there is a distance to measure by. Again and again, as the kernel's rate drifts.
fn measure(cycles: u64, ns: u64) {
    let Some(mut first) = FIRST.try_lock() else {
        return;
    };
    let Some((first_cycles, first_ns)) = *first else {
        *first = Some((cycles, ns));
        return;
    };
    let passed_ns = ns.saturating_sub(first_ns);
    if passed_ns < MEASURE_NS {
        return;
    }
    *first = Some((cycles, ns));
    let passed = cycles.wrapping_sub(first_cycles);
    // A distance of hours overflows, and one of nothing (a counter that stood still) tells nothing.
    let rate = match (passed_ns.checked_mul(1 << 32), passed) {
        (Some(scaled), 1..) => scaled / passed,
        _ => 0,
    };
    // What a counter could plausibly do: 0.25 to 16 GHz. Else it is not one.
    let plausible = (1 << 28..1 << 34).contains(&rate);
    let rounded = if plausible {
        rate + rate / ROUND_UP_PART
    } else {
        0
    };
    RATE.store(rounded, Ordering::Relaxed);
}

/// True if the kernel trusts the counter. Asked once.
fn is_trusted() -> bool {
    static TRUSTED: OnceLock<bool> = OnceLock::new();
    let ask = || {
        let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(source).is_ok_and(|source| source.trim() == "tsc")
    };
    cfg!(target_arch = "x86_64") && *TRUSTED.get_or_init(ask)
}

#[inline(always)]
fn count() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the counter, and Linux lets programs read it.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

#[cfg(test)]
mod tests {
    use super::{Cycles, RATE, clock};
    use std::sync::atomic::Ordering;

    #[test]
    fn soon_is_never_before_now_and_hardly_after_it() {
        let cycles = Cycles::new();
        let begin_ns = clock::now_ns();
        let (mut worst_ns, mut answers) = (0, 0_u64);
        while clock::now_ns() - begin_ns < 200_000_000 {
            let before_ns = clock::now_ns();
            let soon_ns = cycles.soon_ns();
            let after_ns = clock::now_ns();
            assert!(soon_ns >= before_ns, "{} ns early", before_ns - soon_ns);
            // This thread may lose its CPU between the readings, so only what no delay explains counts.
            worst_ns = worst_ns.max(soon_ns.saturating_sub(after_ns));
            answers += 1;
        }
        assert!(worst_ns < 3_000, "{worst_ns} ns late");
        assert!(answers > 100);
        if super::is_trusted() {
            assert_ne!(RATE.load(Ordering::Relaxed), 0);
        }
    }
}

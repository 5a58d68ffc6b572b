//! Models of time: a park that may time out, the dues of floating machines' heaps. Included into each variant.

use super::dues::Dues;

/// A plain thread parks, and may give up at any moment: it goes on by exactly one cause, nobody touches it any
/// more once it has gone on, and a wake that came too late for this park is there for the next one.
pub(crate) fn a_timed_park_ends_once() {
    let fiber = fiber(Kind::Thread, 2, false);
    let futex = Arc::new(AtomicU32::new(0));
    let waker = thread::spawn({
        let (fiber, futex) = (fiber.clone(), futex.clone());
        move || {
            fiber.write(0);
            if fiber.word.wake(1) == Woken::Unblock {
                let _ = fiber.read_own();
                futex.store(1, Ordering::Release);
            }
        }
    });
    let mut got = fiber.word.try_take(1);
    if got == 0 && fiber.word.commit_park(1) {
        // The futex wait times out at once; whoever is about to unblock us is waited for.
        if futex.load(Ordering::Acquire) == 0 && !fiber.word.cancel_park() {
            while futex.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
        }
        // Woken or not: this frame is ours alone again.
        fiber.write_own();
    }
    waker.join().unwrap();
    got |= fiber.word.try_take(1);
    assert_eq!(got, 1, "the wake was lost");
    assert_eq!(fiber.word.parked_for(), None);
    assert_eq!(fiber.read(0), 1);
}

/// What the models' timer is set to; `u64::MAX`: it is not, or has gone off.
type TimerCell = AtomicU64;

/// A heap: when its first entry comes up, 0 for none; served by whoever hears of its due.
type Heap = AtomicU64;

/// One turn of a poller: if the timer has gone off it rings, and serves the heaps.
fn poll(now_ns: u64, dues: &Dues, timer: &TimerCell, heaps: &[Heap; 2]) {
    // The kernel's part: it goes off once for each setting.
    let at_ns = timer.load(Ordering::Acquire);
    if at_ns > now_ns
        || timer
            .compare_exchange(at_ns, u64::MAX, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
    {
        return;
    }
    let mut due = Vec::new();
    let set = |at_ns| timer.store(at_ns, Ordering::Release);
    dues.ring(now_ns, set, |heap| due.push(heap));
    for heap in due {
        if heaps[heap].load(Ordering::Acquire) <= now_ns {
            heaps[heap].store(0, Ordering::Release);
        }
    }
}

/// Two heaps get their first entries, and state their dues, while a poller rings for the first that it hears of:
/// each is served, or the timer is set to go off for it (DUES-1).
pub(crate) fn every_due_rings() {
    let dues = Arc::new(Dues::new(2));
    let timer = Arc::new(TimerCell::new(u64::MAX));
    let heaps = Arc::new([Heap::new(0), Heap::new(0)]);
    let armed = |index: usize, at_ns: u64| {
        let (dues, timer, heaps) = (dues.clone(), timer.clone(), heaps.clone());
        move || {
            heaps[index].store(at_ns, Ordering::Release);
            dues.want(index, at_ns, |at_ns| timer.store(at_ns, Ordering::Release));
        }
    };
    let other = thread::spawn(armed(1, 7));
    let poller = thread::spawn({
        let (dues, timer, heaps) = (dues.clone(), timer.clone(), heaps.clone());
        // Between the two dues.
        move || poll(6, &dues, &timer, &heaps)
    });
    armed(0, 5)();
    other.join().unwrap();
    poller.join().unwrap();
    // From here on only the timer moves anything.
    for _ in 0..3 {
        poll(10, &dues, &timer, &heaps);
    }
    let served = |heap: &Heap| heap.load(Ordering::Relaxed) == 0;
    assert!(heaps.iter().all(served), "a due is lost");
    // Those that were served are no dues any more, so later ones set the timer.
    assert_eq!(dues.next(), None);
    dues.want(0, 20, |at_ns| timer.store(at_ns, Ordering::Release));
    assert_eq!(timer.load(Ordering::Relaxed), 20);
}

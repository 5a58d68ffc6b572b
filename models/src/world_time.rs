//! Models of time: a park that may time out, the dues of sleeping workers. Included into each variant.

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

/// One turn of the poller: if the timer has gone off it rings.
fn poll(now_ns: u64, dues: &Dues, timer: &TimerCell, workers: &[SleepWord; 2]) {
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
    dues.ring(now_ns, set, |worker| due.push(worker));
    for worker in due {
        let _ = workers[worker].notify();
    }
}

/// Two workers state their dues and sleep, while the poller rings for the first that it hears of: whoever sleeps
/// beyond its due is notified, or the timer is set to go off for it (DUES-1).
pub(crate) fn every_due_rings() {
    let dues = Arc::new(Dues::new(2));
    let timer = Arc::new(TimerCell::new(u64::MAX));
    let workers = Arc::new([SleepWord::new(), SleepWord::new()]);
    let sleeper = |index: usize, at_ns: u64| {
        let (dues, timer, workers) = (dues.clone(), timer.clone(), workers.clone());
        move || {
            workers[index].lie_down();
            dues.want(index, at_ns, |at_ns| timer.store(at_ns, Ordering::Release));
        }
    };
    let other = thread::spawn(sleeper(1, 7));
    let poller = thread::spawn({
        let (dues, timer, workers) = (dues.clone(), timer.clone(), workers.clone());
        // Between the two dues.
        move || poll(6, &dues, &timer, &workers)
    });
    sleeper(0, 5)();
    other.join().unwrap();
    poller.join().unwrap();
    // From here on only the timer moves anything.
    for _ in 0..3 {
        poll(10, &dues, &timer, &workers);
    }
    assert!(workers.iter().all(SleepWord::is_notified), "a due is lost");
    // One that has risen takes back its due, and is not robbed of the next one.
    workers[0].rise();
    assert!(dues.take_back(0), "it was woken for its due");
    workers[0].lie_down();
    dues.want(0, 20, |at_ns| timer.store(at_ns, Ordering::Release));
    assert_eq!(timer.load(Ordering::Relaxed), 20);
    assert!(!dues.take_back(0), "nothing has rung for the new one");
}

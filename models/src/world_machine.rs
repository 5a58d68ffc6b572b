//! Models of the workers' protocols: idle, hand-off, throttle, stop. Included into each variant.

use super::idle::{IdleWord, Notify, SleepWord};
use crate::primitive::{heavy_fence, light_fence};

/// What the models share of a machine with one worker that may sleep.
struct Machine {
    idle: IdleWord,
    sleep: SleepWord,
    /// The machine's lock: its lists, whether the worker is registered, its slot, whether it was woken to
    /// search, the stop flag.
    lock: Mutex<Locked>,
    /// Mail in the worker's inbox.
    mail: AtomicUsize,
    /// Items in another worker's cache.
    cache: AtomicUsize,
}

#[derive(Default)]
struct Locked {
    lists: usize,
    registered: bool,
    slot: usize,
    to_search: bool,
    stop: bool,
}

fn machine() -> Arc<Machine> {
    Arc::new(Machine {
        idle: IdleWord::new(),
        sleep: SleepWord::new(),
        lock: Mutex::new(Locked::default()),
        mail: AtomicUsize::new(0),
        cache: AtomicUsize::new(0),
    })
}

/// Which step of falling asleep a model leaves out.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    Fence,
    LastLook,
    LookUnderTheLock,
}

impl Machine {
    /// Falls asleep as sleep.rs does. True if it went down: then only a notify gets it up.
    fn fall_asleep(&self, searching: bool, without: Without) -> bool {
        let early = without == Without::LookUnderTheLock && self.lock.lock().unwrap().lists > 0;
        self.sleep.lie_down();
        let mut locked = self.lock.lock().unwrap();
        if early || (without != Without::LookUnderTheLock && locked.lists > 0) {
            return false;
        }
        locked.registered = true;
        self.idle.retire(searching);
        drop(locked);
        if without != Without::Fence {
            heavy_fence();
        }
        if without == Without::LastLook {
            return true;
        }
        self.mail.load(Ordering::Relaxed) == 0 && self.cache.load(Ordering::Relaxed) < 2
    }

    /// True if it sleeps and nobody is about to wake it.
    fn sleeps(&self, down: bool) -> bool {
        down && !self.sleep.is_notified()
    }

    fn notify_one(&self) {
        if !self.idle.claim_search() {
            return;
        }
        let mut locked = self.lock.lock().unwrap();
        if locked.registered {
            locked.registered = false;
            locked.to_search = true;
            self.idle.unregister();
            drop(locked);
            let _ = self.sleep.notify();
        } else {
            drop(locked);
            let _ = self.idle.found();
        }
    }
}

fn mail_case(without: Without) {
    let machine = machine();
    let waker = {
        let machine = machine.clone();
        thread::spawn(move || {
            machine.mail.store(1, Ordering::Relaxed);
            light_fence();
            let _ = machine.sleep.notify();
        })
    };
    let down = machine.fall_asleep(false, without);
    waker.join().unwrap();
    assert!(!machine.sleeps(down), "asleep beside its mail");
}

/// A wake that must go to this worker.
pub(crate) fn mail_finds_the_sleeper() {
    mail_case(Without::Nothing);
}

pub(crate) fn sleeper_without_fence() {
    mail_case(Without::Fence);
}

pub(crate) fn sleeper_without_last_look() {
    mail_case(Without::LastLook);
}

/// A second item in another worker's cache.
pub(crate) fn cache_push_finds_the_sleeper() {
    let machine = machine();
    let pusher = {
        let machine = machine.clone();
        thread::spawn(move || {
            machine.cache.store(2, Ordering::Relaxed);
            machine.notify_one();
        })
    };
    let down = machine.fall_asleep(false, Without::Nothing);
    pusher.join().unwrap();
    assert!(!machine.sleeps(down), "asleep beside a full cache");
}

fn hand_off_case(without: Without) {
    let machine = machine();
    let pusher = {
        let machine = machine.clone();
        thread::spawn(move || {
            let mut locked = machine.lock.lock().unwrap();
            if locked.registered {
                locked.registered = false;
                machine.idle.unregister();
                locked.slot += 1;
                let _ = machine.sleep.notify();
            } else {
                locked.lists += 1;
            }
        })
    };
    let down = machine.fall_asleep(false, without);
    pusher.join().unwrap();
    let locked = machine.lock.lock().unwrap();
    assert_eq!(locked.lists + locked.slot, 1);
    assert!(!machine.sleeps(down), "asleep beside a filled slot or list");
}

/// Work from outside: into the slot of a registered worker, else into the lists.
pub(crate) fn hand_off_finds_the_sleeper() {
    hand_off_case(Without::Nothing);
}

pub(crate) fn sleeper_without_look_under_the_lock() {
    hand_off_case(Without::LookUnderTheLock);
}

/// A pusher that stays silent because somebody searches; that searcher gives up.
pub(crate) fn the_throttle_strands_nothing() {
    let machine = machine();
    assert!(machine.idle.try_search(1));
    let pusher = {
        let machine = machine.clone();
        thread::spawn(move || {
            machine.cache.store(2, Ordering::Relaxed);
            machine.notify_one();
        })
    };
    let down = machine.fall_asleep(true, Without::Nothing);
    pusher.join().unwrap();
    assert!(!machine.sleeps(down), "asleep beside a full cache");
    // Whatever happened, a later push must be able to wake somebody.
    if down && !machine.lock.lock().unwrap().to_search {
        assert!(machine.idle.claim_search(), "the searcher is still counted");
    }
}

/// One idle worker, one searcher that finds work while more is pushed: somebody is woken for the rest.
pub(crate) fn a_searcher_that_finds_tells_the_next() {
    let machine = machine();
    assert!(machine.idle.try_search(1));
    let down = machine.fall_asleep(false, Without::Nothing);
    assert!(down);
    let pusher = {
        let machine = machine.clone();
        thread::spawn(move || {
            machine.cache.store(2, Ordering::Relaxed);
            machine.notify_one();
        })
    };
    // The searcher has found something of its own: end_search.
    if machine.idle.found() {
        light_fence();
        if machine.cache.load(Ordering::Relaxed) >= 2 {
            machine.notify_one();
        }
    }
    pusher.join().unwrap();
    assert!(!machine.sleeps(down), "the push was silent, and so was the searcher");
}

fn stop_case(under_the_lock: bool) {
    let machine = machine();
    let spawner = {
        let machine = machine.clone();
        thread::spawn(move || {
            let early = !under_the_lock && machine.lock.lock().unwrap().stop;
            let mut locked = machine.lock.lock().unwrap();
            if early || (under_the_lock && locked.stop) {
                return false;
            }
            locked.lists += 1;
            true
        })
    };
    let stopper = {
        let machine = machine.clone();
        thread::spawn(move || machine.lock.lock().unwrap().stop = true)
    };
    let mut run = 0;
    loop {
        let mut locked = machine.lock.lock().unwrap();
        run += std::mem::take(&mut locked.lists);
        if locked.stop {
            break;
        }
        drop(locked);
        thread::yield_now();
    }
    let accepted = spawner.join().unwrap();
    stopper.join().unwrap();
    assert_eq!(run, usize::from(accepted), "accepted and never run");
}

/// A spawn from outside against a stop: what is accepted is run before the worker leaves.
pub(crate) fn a_stop_leaves_nothing_behind() {
    stop_case(true);
}

pub(crate) fn stop_checked_before_the_lock() {
    stop_case(false);
}

fn depot_case(in_one_hold: bool) {
    let depot = Arc::new(Mutex::new(vec![0_usize, 1]));
    let stacks = Arc::new([UnsafeCell::new(0_u32), UnsafeCell::new(0)]);
    let hands: Vec<_> = (0..2)
        .map(|_| {
            let (depot, stacks) = (depot.clone(), stacks.clone());
            thread::spawn(move || {
                let stack = if in_one_hold {
                    depot.lock().unwrap().pop()
                } else {
                    let seen = depot.lock().unwrap().last().copied();
                    depot.lock().unwrap().pop();
                    seen
                };
                if let Some(stack) = stack {
                    // SAFETY: checked by loom: two hands on one stack would be a race.
                    stacks[stack].with_mut(|owner| unsafe { *owner += 1 });
                    depot.lock().unwrap().push(stack);
                }
            })
        })
        .collect();
    for hand in hands {
        hand.join().unwrap();
    }
    assert_eq!(depot.lock().unwrap().len(), 2);
}

/// The depot of stacks (and of cells) is a list under a lock: a stack is in one hand at a time.
pub(crate) fn the_depot_hands_out_once() {
    depot_case(true);
}

pub(crate) fn depot_looked_at_before_it_is_taken_from() {
    depot_case(false);
}
